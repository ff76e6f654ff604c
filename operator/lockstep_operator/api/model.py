"""EmbeddingModel: what to train or import, how to serve it, how to release it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from lockstep_core.protocol.base import Contract, KindName, rule, validations
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.api.gate_rows import is_none_of, named
from lockstep_operator.api.gates import NEED_HELD_OUT, NEED_MONITOR
from lockstep_operator.api.importing import EvaluationSpec, ImportJobSpec
from lockstep_operator.api.monitoring import MonitoringSpec
from lockstep_operator.api.pods import PodTemplate
from lockstep_operator.api.rollout import RolloutSpec
from lockstep_operator.api.scaling import AutoscalingSpec
from lockstep_operator.api.status import Condition, GateVerdict, HistoryEntry, Time


class Indexing(StrEnum):
    """Whether a release of this model must carry indexes."""

    REQUIRED = "Required"
    NONE = "None"


class TrainingJobSpec(TrainingSpec):
    """The training run, and the Jobs that carry it out."""

    max_attempts: int = Field(
        default=3,
        ge=1,
        le=20,
        description="Attempts of each Job of a release. Disruptions do not count.",
    )
    active_deadline_seconds: int = Field(
        default=14400, ge=1, le=31_536_000, description="Longest run of one training attempt."
    )
    template: PodTemplate = Field(
        default_factory=PodTemplate, description="Pod of the training Job."
    )


class ServingSpec(Contract):
    """The encoder Deployment of a release. A change here rolls in place: no new release."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.autoscaling) || !has(oldSelf.autoscaling)"
                " || self.replicas == oldSelf.replicas",
                "`replicas` must not change while `autoscaling` is set, which counts the pods:"
                " change `autoscaling.minReplicas` or `maxReplicas`",
                ".replicas",
            )
        )
    )

    replicas: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Encoder pods of a release. Not used while `autoscaling` is set.",
    )
    autoscaling: AutoscalingSpec | None = Field(
        default=None,
        description="Lets the load decide how many encoder pods a release has, instead of"
        " `replicas`. It needs the metrics API (metrics-server).",
    )
    min_ready_seconds: int = Field(
        default=0, ge=0, le=3600, description="Seconds of readiness before a pod counts."
    )
    template: PodTemplate = Field(
        default_factory=PodTemplate, description="Pod of the encoder (and of evaluation Jobs)."
    )


def _reachable(parent: str, field: str) -> tuple[dict[str, str], dict[str, str]]:
    """Pods mount one volume and reach one bucket: that of the artifact store."""
    itself = "self.artifact.uri == self.artifacts.uri || " if parent == "artifact" else ""
    root = "self.artifacts.uri.split('/', 4)"
    return (
        rule(
            f"!has(self.{parent}) || !self.artifacts.uri.startsWith('file://')"
            f" || {itself}self.{field}.startsWith(self.artifacts.uri + '/')",
            f"`{field}` must lie below `artifacts.uri`: pods mount nothing else",
            f".{field}",
        ),
        rule(
            f"!has(self.{parent}) || self.artifacts.uri.startsWith('file://')"
            f" || (self.{field} + '/').startsWith({root}[0] + '//' + {root}[2] + '/')",
            f"`{field}` must be in the bucket of `artifacts.uri`: pods reach no other",
            f".{field}",
        ),
    )


class EmbeddingModelSpec(Contract):
    """The desired model."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.training) != has(self.artifact)",
                "exactly one of `training` (train the model) and `artifact` (import one that was"
                " trained elsewhere) must be set",
            ),
            *_reachable("training", "training.data.uri"),
            *_reachable("artifact", "artifact.uri"),
            *_reachable("evaluation", "evaluation.data.uri"),
            rule(
                "!has(self.evaluation) || has(self.artifact)",
                "`evaluation` must not be set with `training`: a trained model is measured on the"
                " held-out classes of `training.data`",
                ".evaluation",
            ),
            rule(
                "!has(self.artifact) || has(self.evaluation) || !has(self.rollout.gates) ||"
                f" self.rollout.gates.all(g, {is_none_of('g', NEED_HELD_OUT)})",
                f"`evaluation.data` must be set for gates of type {named(NEED_HELD_OUT)}: an"
                " imported model brings no labelled set; set it, or take these gates away",
                ".evaluation",
            ),
            rule(
                "!has(self.monitoring.enabled) || self.monitoring.enabled"
                " || !has(self.rollout.gates)"
                f" || self.rollout.gates.all(g, {is_none_of('g', NEED_MONITOR)})",
                f"`monitoring.enabled` must be true for gates of type {named(NEED_MONITOR)}: they"
                " are judged by what the monitors see",
                ".monitoring.enabled",
            ),
            rule(
                "!has(self.defaultIndex) || !has(self.indexing) || self.indexing == 'Required'",
                "`defaultIndex` must not be set with `indexing: None`: the model has no index then",
                ".defaultIndex",
            ),
            rule(
                "!has(self.serving.minReadySeconds) || !has(self.rollout.progressDeadlineSeconds)"
                " || self.serving.minReadySeconds < self.rollout.progressDeadlineSeconds",
                "`serving.minReadySeconds` must be less than `rollout.progressDeadlineSeconds`: no"
                " pod would count in time",
                ".serving.minReadySeconds",
            ),
            rule(
                "!has(self.serving.autoscaling) || !has(self.rollout.capacity)"
                " || self.rollout.capacity != 'ResourceAware'",
                "`rollout.capacity: ResourceAware` must not be set with `serving.autoscaling`: it"
                " shares `serving.replicas`, which an autoscaler does not use",
                ".rollout.capacity",
            ),
        )
    )

    artifacts: ArtifactsSpec = Field(description="The store of the model and of its indexes.")
    training: TrainingJobSpec | None = Field(default=None, description="What to train.")
    artifact: ImportJobSpec | None = Field(
        default=None,
        description="What to import instead: a model artifact that was published elsewhere."
        " Another digest is another release.",
    )
    evaluation: EvaluationSpec | None = Field(
        default=None,
        description=f"What an imported model is measured on; gates of type {named(NEED_HELD_OUT)}"
        " need it. Without it the release goes on unmeasured, and its status says so.",
    )
    indexing: Indexing = Field(
        default=Indexing.REQUIRED,
        description="`Required`: a release waits until at least one VectorIndex names this model."
        " `None`: the encoder is released alone.",
    )
    default_index: KindName | None = Field(
        default=None,
        description="The VectorIndex that answers a search which names none, where a release has"
        " several. Unset: the one that served before the others came.",
    )
    serving: ServingSpec = Field(default_factory=ServingSpec, description="How to serve it.")
    monitoring: MonitoringSpec = Field(
        default_factory=MonitoringSpec, description="How to watch what it embeds."
    )
    rollout: RolloutSpec = Field(default_factory=RolloutSpec, description="How to release it.")
    revision_history_limit: int = Field(
        default=5, ge=1, le=50, description="Ended releases that are kept as a record."
    )

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if (self.training is None) == (self.artifact is None):
            raise ValueError("exactly one of `training` and `artifact` must be set")
        return self

    @property
    def origin(self) -> TrainingJobSpec | ImportJobSpec:
        """Where the model comes from: how often that is tried, and for how long."""
        origin = self.training or self.artifact
        assert origin is not None
        return origin

    @property
    def origin_field(self) -> str:
        """The field of `origin`, for messages."""
        return "spec.training" if self.training is not None else "spec.artifact"


class Pointer(Contract):
    """A release, as the model's status points at it."""

    release: str
    space_id: str | None = Field(default=None, alias="spaceID")
    stage: str | None = None
    since: Time | None = None
    ready_replicas: int | None = None
    weight: int | None = Field(default=None, description="Percent of the requests that it answers.")
    indexes: list[str] | None = None


class StepStatus(Contract):
    """Where the candidate is on its way. Weights are percent of the requests."""

    index: int = Field(description="The step under way, from 1; `total` + 1 after all.")
    total: int
    state: str = Field(description="What it does, or what it waits for.")
    asked_weight: int = Field(description="The candidate's weight that the steps ask for.")
    achieved_weight: int = Field(description="The weight that was read back last.")
    started_at: Time


class HandledVerb(Contract):
    """The last value of a verb's annotation that was acted on or refused."""

    verb: Annotated[str, StringConstraints(max_length=32)]
    value: Annotated[str, StringConstraints(max_length=128)]
    outcome: Annotated[str, StringConstraints(max_length=512)]
    at: Time


class Phase(StrEnum):
    """Display only; conditions are the interface."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    TERMINATING = "Terminating"


class EmbeddingModelStatus(Contract):
    """Pointers, and projections of the releases."""

    observed_generation: int = -1
    phase: Phase | None = None
    message: str | None = None
    stable: Pointer | None = None
    candidate: Pointer | None = None
    step: StepStatus | None = None
    step_display: str | None = Field(default=None, description="The step of all, as `2/4`.")
    weight_display: str | None = Field(
        default=None, description="The candidate's share, as `25%`; `25% (20%)` where it differs."
    )
    gates: list[GateVerdict] | None = None
    gates_summary: str | None = Field(default=None, description="Gates passed of all, as `1/1`.")
    recall: str | None = Field(default=None, description="Relevance recall of the first gate.")
    replicas: int | None = None
    selector: str | None = None
    last_handled: list[HandledVerb] | None = Field(
        default=None,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["verb"]},
    )
    history: list[HistoryEntry] | None = None
    conditions: list[Condition] | None = Field(
        default=None,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
