"""EmbeddingRelease: one encoder and one build of every index that follows it, as one unit.

Made by the operator, immutable spec, write-once digests. Its status is the only record of a
release; everything else that shows a release is a projection of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, KindName, ReleaseName, Sha256, rule, validations
from lockstep_core.protocol.datasets import DatasetSpec, LabelledDataset
from lockstep_core.protocol.indexing import IndexSpec, ObjectivesSpec
from lockstep_core.protocol.result import BuildFacts, EvaluationFacts, TrainingFacts
from lockstep_core.protocol.storage import ArtifactSource, ArtifactsSpec
from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.api.importing import EvaluationSpec
from lockstep_operator.api.pods import ImageReference
from lockstep_operator.api.status import Condition, Failure, GateVerdict, Hash, Time
from lockstep_operator.api.stored import ArtifactCheck, DamagedArtifact
from lockstep_operator.api.traffic_records import StepRecord, Watch, Weights


class Cause(StrEnum):
    """Why a release was made."""

    FIRST = "First"
    MODEL_CHANGED = "ModelChanged"
    INDEX_CHANGED = "IndexChanged"
    STORE_CHANGED = "StoreChanged"
    ARTIFACTS_DAMAGED = "ArtifactsDamaged"
    DRIFT = "Drift"


class FrozenIndex(Contract):
    """The recipe of one index, as it stood when the release was made."""

    name: KindName
    source: DatasetSpec
    index: IndexSpec
    objectives: ObjectivesSpec


class ReusedModel(Contract):
    """The release whose model artifact this release takes over instead of training."""

    release: ReleaseName
    training: TrainingFacts


class DriftOrigin(Contract):
    """The request of a DriftPolicy that a release was made for: what it was asked is done once."""

    policy: KindName
    request: Annotated[str, StringConstraints(max_length=64)]
    approved_by: str | None = Field(default=None, max_length=256)
    known_data: Sha256 | None = Field(
        default=None,
        description="Digest of the data set that the serving release was measured on: the training"
        " ends as NothingNew where it finds the same one.",
    )


class Images(Contract):
    """The images that this release runs, frozen so that an operator upgrade moves no encoder."""

    # A later field must be optional, as every later field of a frozen record: a release of before
    # it lacks it, and would otherwise be unreadable. See `manifests.programs`.

    trainer: ImageReference
    encoder: ImageReference
    indexer: ImageReference
    monitor: ImageReference | None = None


class EmbeddingReleaseSpec(Contract):
    """Frozen inputs."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule("self == oldSelf", "an EmbeddingRelease must not change: change its model instead")
        )
    )

    model: KindName = Field(description="The EmbeddingModel that owns this release.")
    number: int = Field(ge=1, description="N of the release's short name rN.")
    cause: Cause = Field(description="Why the release was made.")
    space_hash: Hash = Field(description="Hash of the fields that shape the embedding space.")
    index_hash: Hash = Field(description="Hash of the recipes of all indexes.")
    artifacts: ArtifactsSpec
    training: TrainingSpec | None = None
    artifact: ArtifactSource | None = None
    evaluation: EvaluationSpec | None = None
    reuse: ReusedModel | None = None
    drift: DriftOrigin | None = None
    indexes: list[FrozenIndex] = Field(default_factory=list, max_length=32)
    default_index: KindName | None = Field(
        default=None,
        description="Of several indexes the one that served before the others came: it answers"
        " searches that name none.",
    )
    images: Images

    def answers_by_default(self, wanted: str | None = None) -> str | None:
        """The index of a search that names none: `wanted` (`spec.defaultIndex` of the model) where
        the release has it, the frozen one, or the only one; None: a search must name one."""
        names = [index.name for index in self.indexes]
        chosen = (name for name in (wanted, self.default_index) if name in names)
        return next(chosen, names[0] if len(names) == 1 else None)

    @property
    def held_out(self) -> LabelledDataset | None:
        """The labelled set that the model is measured on; None for an import without one."""
        if self.training is not None:
            return self.training.data
        return self.evaluation.data if self.evaluation is not None else None

    @property
    def seed(self) -> int:
        """Of what is chosen at random in builds and measurements."""
        return self.training.seed if self.training is not None else 0


class Stage(StrEnum):
    """Where a release is."""

    TRAINING = "Training"
    IMPORTING = "Importing"
    EVALUATING = "Evaluating"
    INDEXING = "Indexing"
    VERIFYING = "Verifying"
    WARMING = "Warming"
    CANARY = "Canary"
    PROMOTING = "Promoting"
    FINALIZING = "Finalizing"
    SERVING = "Serving"
    RETAINED = "Retained"
    ROLLING_BACK = "RollingBack"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"
    RETIRED = "Retired"


class Attempts(Contract):
    """The current attempt of each kind of Job (it names the Job, and never goes back).

    `failures` are the attempts that failed and count against `maxAttempts`, by the Job's part of
    the name (`train`, `import`, `evaluate`, `build-<index>`); a retry by hand clears them.
    """

    training: int = 0
    importing: int = 0
    evaluating: int = 0
    indexing: dict[str, int] = Field(default_factory=dict)
    failures: dict[str, int] = Field(default_factory=dict)
    disruptions: int = 0


class Ending(Contract):
    """How a release ends as soon as it has no traffic any more."""

    stage: Stage
    outcome: str
    reason: str
    message: str
    exit_code: int | None = None
    pod: str | None = None


class EmbeddingReleaseStatus(Contract):
    """The only record of the release."""

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "pause": ("paused_at", "pause_reason", "paused_seconds"),
        "canary": ("step", "weights", "approved_at"),
        "after_promotion": ("watch",),
    }
    """Fields that end together. On the wire they stand beside the others."""

    observed_generation: int = -1
    stage: Stage | None = None
    stage_started_at: Time | None = None
    started_at: Time | None = None
    promoted_at: Time | None = None
    first_promoted_at: Time | None = Field(
        default=None, description="When it was promoted first; `promotedAt` is the last time."
    )
    finished_at: Time | None = Field(
        default=None, description="When it ended, or another release took its place."
    )
    outcome: str | None = None
    message: str | None = None
    attempts: Attempts | None = None
    next_retry_at: Time | None = None
    paused_at: Time | None = None
    pause_reason: str | None = None
    paused_seconds: int | None = Field(
        default=None, description="Seconds of this stage spent paused; the deadline skips them."
    )
    failed_stage: Stage | None = None
    canary_of: ReleaseName | None = Field(
        default=None, description="The stable release that it shares the entry point with."
    )
    step: StepRecord | None = None
    watch: Watch | None = None
    weights: Weights | None = None
    approved_at: Time | None = Field(
        default=None, description="When a person approved its promotion (`promotion: Manual`)."
    )
    ending: Ending | None = None
    training: TrainingFacts | None = None
    evaluation: EvaluationFacts | None = None
    builds: list[BuildFacts] | None = None
    compared_with: ReleaseName | None = Field(
        default=None, description="The release beside which its evaluation measured it."
    )
    gates: list[GateVerdict] | None = None
    gates_passed_at: Time | None = Field(
        default=None, description="When the gates were passed, or waived by `promote`."
    )
    built_at: Time | None = Field(default=None, description="When the last index was built.")
    check: ArtifactCheck | None = None
    damaged: list[DamagedArtifact] | None = Field(
        default=None,
        description="Artifacts that a pod or a Job refused, or that a check found missing or"
        " corrupt. A retry makes them again.",
    )
    remake_asked_at: Time | None = Field(
        default=None,
        description="When a person asked for another release in place of this one, whose files are"
        " damaged.",
    )
    last_failure: Failure | None = None
    conditions: list[Condition] | None = Field(
        default=None,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )

    @property
    def got_there_at(self) -> str | None:
        """When it was promoted first. A record of before `firstPromotedAt` has the last time."""
        return self.first_promoted_at or self.promoted_at

    def replace(self, **fields: Any) -> Self:
        """As of every contract; a group of `GROUPS` that is None resets all fields of it that are
        not named themselves. Raises ValueError for a group that is anything else."""
        for group in self.GROUPS.keys() & fields.keys():
            if fields.pop(group) is not None:
                raise ValueError(f"`{group}` is a group of fields: it can only be None")
            fields = dict.fromkeys(self.GROUPS[group]) | fields
        return super().replace(**fields)


__all__ = [
    "Attempts",
    "Cause",
    "EmbeddingReleaseSpec",
    "EmbeddingReleaseStatus",
    "Ending",
    "FrozenIndex",
    "Images",
    "ReusedModel",
    "Sha256",
    "Stage",
    "StepRecord",
    "Watch",
    "Weights",
]
