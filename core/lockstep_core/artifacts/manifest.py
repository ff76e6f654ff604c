"""Manifests: what an artifact consists of, and which embedding space it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from lockstep_core.artifacts.digests import digest_of_files, sha256_file, space_id
from lockstep_core.artifacts.errors import ArtifactError
from lockstep_core.protocol.artifacts import ArtifactKind, PixelReading
from lockstep_core.protocol.base import Contract, KindName, Sha256, SpaceID
from lockstep_core.protocol.indexing import IndexSpec
from lockstep_core.protocol.result import Finding, SampleStatistics, TrainingFacts

MODEL_SCHEMA: Literal["lockstep.dev/model/v1"] = "lockstep.dev/model/v1"
BUILD_SCHEMA: Literal["lockstep.dev/build/v1"] = "lockstep.dev/build/v1"

# No `..`, no absolute path, no hidden file, no backslash: a manifest cannot name a file outside of
# the folder that it is fetched into, on any platform.
RelativePath = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$", max_length=255
    ),
]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Provenance = Annotated[dict[str, str], Field(max_length=64)]
MatryoshkaDimensions = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=16)
]


class Role(StrEnum):
    """`SERVING` files make the model; `CHECK` files test it; `REPORT` files describe it."""

    SERVING = "Serving"
    CHECK = "Check"
    REPORT = "Report"


class FileEntry(Contract):
    """One file of an artifact."""

    path: RelativePath
    sha256: Sha256
    bytes: int = Field(ge=0)
    role: Role


class InputKind(StrEnum):
    IMAGE = "Image"
    VECTOR = "Vector"
    TEXT = "Text"


_FORMS = {
    InputKind.IMAGE: ("uint8", (2, 3)),
    InputKind.VECTOR: ("float32", (1,)),
    InputKind.TEXT: ("text", (0,)),
}


class InputSpec(Contract):
    """One raw item, as clients and data sets give it; `shape` is without the batch axis.

    Image: uint8 [H, W] or [H, W, C]. Vector: float32 [D]. Text: a string, so its shape is [].
    What a text becomes before the graph takes it is described by the artifact's `preprocess.json`.
    `pixels` of an Image is how files are read. Absent, as of encoders that were trained before
    there was the choice, it means AsStored.
    """

    kind: InputKind
    shape: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(max_length=3)
    dtype: Literal["uint8", "float32", "text"]
    pixels: PixelReading | None = None

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        dtype, axes = _FORMS[self.kind]
        if self.dtype != dtype or len(self.shape) not in axes:
            raise ValueError(
                "an Image is uint8 [H, W] or [H, W, C], a Vector is float32 [D], a Text is text []"
            )
        if self.pixels is not None and self.kind is not InputKind.IMAGE:
            raise ValueError(f"`pixels` is for an Image: a {self.kind} has none")
        return self

    @property
    def reading(self) -> PixelReading:
        """How files of images are read."""
        return self.pixels or PixelReading.AS_STORED

    def same_items(self, other: InputSpec) -> bool:
        """Whether arrays of items are alike, however they were read from files."""
        return (self.kind, self.shape, self.dtype) == (other.kind, other.shape, other.dtype)


class Manifest(Contract):
    """What both kinds share. The digest of the manifest's own bytes names the artifact."""

    schema_: str = Field(alias="schema")
    files: tuple[FileEntry, ...] = Field(min_length=1, max_length=4096)
    space_id: SpaceID = Field(alias="spaceID")
    provenance: Provenance = Field(default_factory=dict)

    @model_validator(mode="after")
    def _paths_are_distinct(self) -> Self:
        paths = {entry.path for entry in self.files}
        if len(paths) < len(self.files):
            raise ValueError("`files` names a path twice")
        folders = {str(parent) for path in paths for parent in Path(path).parents}
        if both := paths & folders:
            raise ValueError(f"`files` names {sorted(both)} both as a file and as a folder")
        return self

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces. Equal manifests have equal bytes."""
        return json.dumps(self.to_wire(), sort_keys=True, separators=(",", ":")).encode()


class ModelManifest(Manifest):
    """A trained (or imported) encoder."""

    schema_: Literal["lockstep.dev/model/v1"] = Field(default=MODEL_SCHEMA, alias="schema")
    model_digest: Sha256
    preprocessing_digest: Sha256
    pooling: Word
    normalisation: Word
    dimension: int = Field(ge=1, le=65536)
    input: InputSpec
    # Absent unless it was trained for: a manifest of an encoder that was not keeps its bytes.
    matryoshka_dimensions: MatryoshkaDimensions | None = None
    # What the graph computes with, where it is not float32. Absent from older manifests, too, whose
    # quantised graphs are known by their batch axis of 1.
    kind: ArtifactKind | None = None

    @model_validator(mode="after")
    def _prefixes_are_shorter(self) -> Self:
        dimensions = self.matryoshka_dimensions or ()
        if list(dimensions) != sorted(set(dimensions)) or any(
            each >= self.dimension for each in dimensions
        ):
            raise ValueError(
                f"`matryoshkaDimensions` {list(dimensions)} must rise, each below `dimension`"
                f" {self.dimension}"
            )
        return self

    @model_validator(mode="after")
    def _identity_follows_from_the_files(self) -> Self:
        if self.model_digest != model_digest(self.files):
            raise ValueError("`modelDigest` is not the digest of the files of role Serving")
        if self.space_id != self.space_of_prefix(self.dimension):
            raise ValueError("`spaceID` does not follow from the model's own fields")
        return self

    @classmethod
    def describe(
        cls,
        files: Iterable[FileEntry],
        *,
        preprocessing_digest: str,
        pooling: str,
        normalisation: str,
        dimension: int,
        input: InputSpec,
        provenance: Mapping[str, str],
        matryoshka_dimensions: Iterable[int] = (),
        kind: ArtifactKind = ArtifactKind.FLOAT32,
    ) -> ModelManifest:
        """The manifest of these files, with `modelDigest` and `spaceID` computed from them.

        `matryoshka_dimensions` are the prefixes of an embedding that were trained to be of use.
        `kind` is what the graph computes with.
        """
        listed = tuple(files)
        digest = model_digest(listed)
        return cls(
            files=listed,
            model_digest=digest,
            preprocessing_digest=preprocessing_digest,
            pooling=pooling,
            normalisation=normalisation,
            dimension=dimension,
            space_id=space_id(
                model_digest=digest,
                preprocessing_digest=preprocessing_digest,
                pooling=pooling,
                normalisation=normalisation,
                dimension=dimension,
            ),
            input=input,
            provenance=dict(provenance),
            matryoshka_dimensions=tuple(matryoshka_dimensions) or None,
            kind=None if kind is ArtifactKind.FLOAT32 else kind,
        )

    def space_of_prefix(self, dimension: int) -> SpaceID:
        """The space of the first `dimension` numbers of an embedding, normalised again.

        Not this model's own: such vectors cannot be compared with whole ones.
        """
        return space_id(
            model_digest=self.model_digest,
            preprocessing_digest=self.preprocessing_digest,
            pooling=self.pooling,
            normalisation=self.normalisation,
            dimension=dimension,
        )

    def training_facts(
        self,
        artifact_digest: Sha256,
        *,
        seconds: float,
        steps: int = 0,
        train_items: int = 0,
        metrics: Mapping[str, float] | None = None,
        resumed_from_step: int | None = None,
        findings: Sequence[Finding] = (),
    ) -> TrainingFacts:
        """What is reported of this model once it is published as `artifact_digest`.

        `seconds` is rounded to milliseconds, `metrics` to six digits. What was not trained here has
        no steps and no items.
        """
        return TrainingFacts(
            artifact_digest=artifact_digest,
            model_digest=self.model_digest,
            preprocessing_digest=self.preprocessing_digest,
            pooling=self.pooling,
            normalisation=self.normalisation,
            dimension=self.dimension,
            space_id=self.space_id,
            steps=steps,
            train_items=train_items,
            seconds=round(seconds, 3),
            metrics={name: round(value, 6) for name, value in (metrics or {}).items()},
            resumed_from_step=resumed_from_step,
            findings=tuple(findings),
        )


class BuildManifest(Manifest):
    """One index, built from one corpus snapshot with one model."""

    schema_: Literal["lockstep.dev/build/v1"] = Field(default=BUILD_SCHEMA, alias="schema")
    artifact_digest: Sha256
    source_digest: Sha256
    rows: int = Field(ge=0)
    # Absent where each row has a vector of its own, and of builds that hold equal ones as often as
    # they occur.
    distinct_vectors: int | None = Field(default=None, ge=1)
    dimension: int = Field(ge=1, le=65536)
    metric: Literal["Euclidean"] = "Euclidean"
    index: KindName
    recipe: IndexSpec
    recall_k: int = Field(ge=1)
    recall: SampleStatistics
    seed: int = Field(ge=0)

    @property
    def vectors(self) -> int:
        """How many vectors the index holds."""
        return self.rows if self.distinct_vectors is None else self.distinct_vectors


def model_digest(files: Iterable[FileEntry]) -> Sha256:
    """Identity of the model: exactly the files that serving loads. Reports and timings are out."""
    return digest_of_files(entry for entry in files if entry.role is Role.SERVING)


def describe_files(directory: Path, roles: Mapping[str, Role]) -> tuple[FileEntry, ...]:
    """Entries of the named files of `directory`, sorted by path.

    Raises ArtifactError when one is missing or is a link: only bytes that are there are described.
    """
    return tuple(_describe(directory, path, role) for path, role in sorted(roles.items()))


def _describe(directory: Path, path: str, role: Role) -> FileEntry:
    file = regular_file(directory, path)
    return FileEntry(path=path, sha256=sha256_file(file), bytes=file.stat().st_size, role=role)


def regular_file(directory: Path, path: str) -> Path:
    """The file, if it is a plain one that lies in `directory`; else ArtifactError."""
    file = directory / path
    if not file.is_file() or file.is_symlink():
        raise ArtifactError(f"{path} is not a regular file in {directory}")
    return file
