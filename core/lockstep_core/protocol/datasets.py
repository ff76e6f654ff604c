"""How a labelled set of items is named: the training data of a model, the corpus of an index."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, Sha256, rule, validations

DatasetURI = Annotated[
    str, StringConstraints(pattern=r"^(file|s3|gs|az)://.+", min_length=8, max_length=1024)
]


class DatasetFormat(StrEnum):
    """`NPZ`: arrays `inputs`, `labels` and optionally `ids`. `ImageFolder`: one folder a class."""

    NPZ = "NPZ"
    IMAGE_FOLDER = "ImageFolder"


class SplitBy(StrEnum):
    """`Class`: no class is on both sides, so evaluation sees unseen classes only."""

    CLASS = "Class"


class SplitSpec(Contract):
    """Which items train and which are held out for evaluation."""

    by: SplitBy = Field(
        default=SplitBy.CLASS,
        description="`Class` holds out whole classes: recall is measured on classes that the"
        " encoder never saw.",
    )
    eval_fraction: Annotated[
        str, StringConstraints(pattern=r"^0\.[0-9]{0,5}[1-9]0{0,5}$", min_length=3, max_length=8)
    ] = Field(
        default="0.1",
        description="Share of the classes that is held out, as a decimal string between 0 and 1.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of the split.")


class DatasetSpec(Contract):
    """A labelled set of items."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!self.uri.matches('(^file://[^/]|[^:/]//|/[.][.]?(/|$)|/$)')",
                "`uri` must name one object by a plain absolute path, such as"
                " `file:///artifacts/datasets/glyphs.npz`: no `//`, `.` or `..` within, no slash at"
                " its end",
                ".uri",
            ),
            rule(
                "self.format != 'NPZ' || self.uri.endsWith('.npz')",
                "`uri` must end with `.npz` when `format` is NPZ; use ImageFolder for a folder",
                ".uri",
            ),
        )
    )

    uri: DatasetURI = Field(
        description="Location of the set: a `file://` path on the artifact volume, or an object"
        " under the bucket of the artifact store."
    )
    format: DatasetFormat = Field(
        description="`NPZ` (arrays `inputs`, `labels`, optional `ids`; no pickle) or `ImageFolder`"
        " (one folder a class)."
    )
    digest: Sha256 | None = Field(
        default=None,
        description="Expected sha256 of the set (of the file for NPZ; of the sorted file digests"
        " for ImageFolder). When set, a pod that reads other bytes refuses to start.",
    )


class LabelledDataset(DatasetSpec):
    """A labelled set with the split that training and evaluation share."""

    split: SplitSpec = Field(default_factory=SplitSpec, description="Training and held-out items.")
