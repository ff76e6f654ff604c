"""How a labelled set of items is named: the training data of a model, the corpus of an index."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from lockstep_core.protocol.base import Contract, Sha256, plain_path_rule, rule, validations

DatasetURI = Annotated[
    str, StringConstraints(pattern=r"^(file|s3|gs|az)://.+", min_length=8, max_length=1024)
]


class DatasetFormat(StrEnum):
    """`NPZ`: arrays. `Parquet`: columns. `JSONLines`: one object a line. `ImageFolder`: one folder
    a class."""

    NPZ = "NPZ"
    PARQUET = "Parquet"
    JSON_LINES = "JSONLines"
    IMAGE_FOLDER = "ImageFolder"


SUFFIXES = {
    DatasetFormat.NPZ: ".npz",
    DatasetFormat.PARQUET: ".parquet",
    DatasetFormat.JSON_LINES: ".jsonl",
}
"""What the name of a set of one file ends with."""

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class ColumnsSpec(Contract):
    """Where the parts of an item lie: arrays of an NPZ, columns of a table, fields of a line."""

    input: ColumnName | None = Field(
        default=None, description="The item itself. Default: `inputs` (NPZ), else `input`."
    )
    label: ColumnName | None = Field(
        default=None, description="Its class. Default: `labels` (NPZ), else `label`."
    )
    id: ColumnName | None = Field(
        default=None,
        description="Its unique name. Default: `ids` (NPZ) or `id` where the set has it, else"
        " numbers of rows.",
    )
    group: ColumnName | None = Field(
        default=None, description="What a split by Group keeps together. No default."
    )


class SplitBy(StrEnum):
    """`Class`: no class is on both sides, so evaluation sees unseen classes only. `Group`: no group
    is. `Hash`: each item by its own content."""

    CLASS = "Class"
    GROUP = "Group"
    HASH = "Hash"


class SplitSpec(Contract):
    """Which items train and which are held out for evaluation."""

    by: SplitBy = Field(
        default=SplitBy.CLASS,
        description="`Class` holds out whole classes: recall is measured on classes that the"
        " encoder never saw. `Group` holds out whole groups (`columns.group`), such as customers."
        " `Hash` holds out items by their content: rows that come later move no other.",
    )
    eval_fraction: Annotated[
        str, StringConstraints(pattern=r"^0\.[0-9]{0,5}[1-9]0{0,5}$", min_length=3, max_length=8)
    ] = Field(
        default="0.1",
        description="Share of the classes, groups or items that is held out, as a decimal string"
        " between 0 and 1.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of the split.")


# CEL: the name of each part, the usual one where none is given; '' is no group.
_NAMES = ", ".join(
    [
        *(
            f"has(self.columns.{part}) ? self.columns.{part}"
            f" : (self.format == 'NPZ' ? '{part}s' : '{part}')"
            for part in ("input", "label", "id")
        ),
        "has(self.columns.group) ? self.columns.group : ''",
    ]
)


class DatasetSpec(Contract):
    """A labelled set of items."""

    RULES: ClassVar = (
        plain_path_rule("one object", "file:///artifacts/datasets/glyphs.npz"),
        rule(
            "self.format != 'NPZ' || self.uri.endsWith('.npz')",
            "`uri` must end with `.npz` when `format` is NPZ; use ImageFolder for a folder",
            ".uri",
        ),
        rule(
            "self.format != 'Parquet' || self.uri.endsWith('.parquet')",
            "`uri` must end with `.parquet` when `format` is Parquet: one file",
            ".uri",
        ),
        rule(
            "self.format != 'JSONLines' || self.uri.endsWith('.jsonl')",
            "`uri` must end with `.jsonl` when `format` is JSONLines: one file",
            ".uri",
        ),
        rule(
            "self.format != 'ImageFolder' || !has(self.columns)",
            "`columns` must not be set when `format` is ImageFolder: folders name the classes",
            ".columns",
        ),
        # Not said by this model itself: releases that were made before the rule stay readable.
        rule(
            f"!has(self.columns) || [{_NAMES}].all(n, [{_NAMES}].filter(m, m == n).size() == 1)",
            "`columns` must give `input`, `label`, `id` and `group` a name each (one that is not"
            " set has its usual name): name another column, or leave one out",
            ".columns",
        ),
    )
    model_config = ConfigDict(json_schema_extra=validations(*RULES))

    uri: DatasetURI = Field(
        description="Location of the set: a `file://` path on the artifact volume, or an object"
        " under the bucket of the artifact store."
    )
    format: DatasetFormat = Field(
        description="`NPZ` (arrays; no pickle), `Parquet` or `JSONLines` (one file each; items are"
        " text, vectors or, in Parquet, PNG and JPEG bytes), or `ImageFolder` (one folder a class)."
    )
    columns: ColumnsSpec | None = Field(
        default=None, description="Names of the arrays, columns or fields, where not the default."
    )
    digest: Sha256 | None = Field(
        default=None,
        description="Expected sha256 of the set (of the file; of the sorted file digests for"
        " ImageFolder). When set, a pod that reads other bytes refuses to start.",
    )

    @model_validator(mode="after")
    def _format_fits(self) -> Self:
        """As the CEL rules say, for a config that no API server has seen."""
        suffix = SUFFIXES.get(self.format)
        if suffix is not None and not self.uri.endswith(suffix):
            raise ValueError(
                f"`uri` must end with `{suffix}` when `format` is {self.format}; it is {self.uri}"
            )
        if self.format is DatasetFormat.IMAGE_FOLDER and self.columns is not None:
            raise ValueError("`columns` must not be set when `format` is ImageFolder: remove it")
        return self


class LabelledDataset(DatasetSpec):
    """A labelled set with the split that training and evaluation share."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            *DatasetSpec.RULES,
            rule(
                "!has(self.split) || self.split.by != 'Group'"
                " || has(self.columns) && has(self.columns.group)",
                "`columns.group` must be set when `split.by` is Group: it names the column, field"
                " or array of groups",
                ".split.by",
            ),
        )
    )

    split: SplitSpec = Field(default_factory=SplitSpec, description="Training and held-out items.")

    @model_validator(mode="after")
    def _groups_are_named(self) -> Self:
        named = self.columns is not None and self.columns.group is not None
        if self.split.by is SplitBy.GROUP and not named:
            raise ValueError(
                "`columns.group` must be set when `split.by` is Group: name the column, field or"
                " array that holds the groups"
            )
        return self
