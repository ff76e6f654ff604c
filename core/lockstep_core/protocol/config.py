"""What the operator hands to a program: one model per program, JSON in `LOCKSTEP_CONFIG`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from lockstep_core.protocol.base import Contract, KindName, ReleaseName, Sha256, SpaceID
from lockstep_core.protocol.datasets import DatasetSpec, LabelledDataset
from lockstep_core.protocol.indexing import IndexSpec, ObjectivesSpec
from lockstep_core.protocol.storage import ArtifactSource, ArtifactsSpec
from lockstep_core.protocol.training import TrainingSpec

MAX_RECALL_K = 1000
# As many recalls as fit into a termination message together with those of stable.
MAX_RECALLS = 8

ReleaseUID = Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z-]{1,64}$", max_length=64)]


class JobConfig(Contract):
    """What every Job of a release is told."""

    release: ReleaseName
    release_uid: ReleaseUID = Field(alias="releaseUID")
    attempt: int = Field(default=1, ge=1)
    artifacts: ArtifactsSpec


class TrainConfig(JobConfig):
    """`lockstep-train run`. The report shows the stable release's model among the baselines."""

    training: TrainingSpec
    stable_artifact_digest: Sha256 | None = None
    known_data: Sha256 | None = None
    """Digest of a data set that is no news: the training ends as NothingNew where it finds it."""


class ImportConfig(JobConfig):
    """`lockstep-encoder import`: take a model artifact of another store over into this one."""

    artifact: ArtifactSource


class EvaluateConfig(JobConfig):
    """`lockstep-encoder evaluate`: measure candidate (and stable) on the same held-out set."""

    artifact_digest: Sha256
    stable_artifact_digest: Sha256 | None = None
    data: LabelledDataset
    recall_at: tuple[Annotated[int, Field(ge=1, le=MAX_RECALL_K)], ...] = Field(
        default=(1,), min_length=1, max_length=MAX_RECALLS
    )

    @field_validator("recall_at")
    @classmethod
    def _are_distinct(cls, asked: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(asked)) < len(asked):
            raise ValueError("each k must be asked for once")
        return asked


class BuildConfig(JobConfig):
    """`lockstep-indexer build`: embed the corpus with the release's encoder and index it."""

    artifact_digest: Sha256
    space_id: SpaceID = Field(alias="spaceID")
    index: KindName
    source: DatasetSpec
    recipe: IndexSpec
    objectives: ObjectivesSpec
    seed: int = Field(default=0, ge=0)


class ReplayConfig(JobConfig):
    """`lockstep-encoder replay`: send held-out queries through a release that serves.

    `analysis` tells one measurement from the next: each asks the servers anew. `data` and `source`
    carry the digests of what was evaluated and what was built, where they are known.
    """

    analysis: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    url: Annotated[str, StringConstraints(pattern=r"^http://", max_length=512)]
    space_id: SpaceID = Field(alias="spaceID")
    index: KindName
    build_digest: Sha256
    data: LabelledDataset
    source: DatasetSpec
    k: int = Field(default=1, ge=1, le=MAX_RECALL_K)
    max_samples: int = Field(default=1000, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)


class CheckConfig(JobConfig):
    """`lockstep-encoder check`: read every byte of what a release serves from.

    `builds` are the digests of its index builds, in any order.
    """

    artifact_digest: Sha256
    builds: tuple[Sha256, ...] = Field(default=(), max_length=32)


class IndexEndpoint(Contract):
    """One index of a release, as its encoder reaches it."""

    name: KindName
    url: Annotated[str, StringConstraints(pattern=r"^http://", max_length=512)]
    build_digest: Sha256
    space_id: SpaceID = Field(alias="spaceID")


class EncoderConfig(Contract):
    """`lockstep-encoder serve`."""

    model: KindName
    release: ReleaseName
    artifacts: ArtifactsSpec
    artifact_digest: Sha256
    space_id: SpaceID = Field(alias="spaceID")
    indexes: tuple[IndexEndpoint, ...] = ()


class CanaryConfig(Contract):
    """Beside whom a candidate stands. It holds as long as that release answers at `entry_url`."""

    beside: ReleaseName
    entry_url: Annotated[str, StringConstraints(pattern=r"^http://", max_length=512)]


class IndexServerConfig(Contract):
    """`lockstep-indexer serve`."""

    release: ReleaseName
    index: KindName
    artifacts: ArtifactsSpec
    build_digest: Sha256
    space_id: SpaceID = Field(alias="spaceID")
