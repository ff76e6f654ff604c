"""DriftPolicy: how the live embeddings of a model are watched, and what is done when they drift.

It owns nothing but a ConfigMap, in which the operator keeps what it has learned.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, KindName, UnitFraction, rule, validations
from lockstep_core.protocol.drift import BaselineKind
from lockstep_core.protocol.monitoring import DEFAULT_RECALL_K, MAX_RECALL_K, TrafficRole
from lockstep_operator.api.drift_actions import (
    ActionRule,
    ActionTaken,
    Deed,
    LimitsSpec,
    Request,
    Trigger,
)
from lockstep_operator.api.objects import Object, Resource
from lockstep_operator.api.objects import parse as parse_as
from lockstep_operator.api.status import Condition, Time

AUTO = "Auto"
MAX_ACTIONS, MAX_WINDOWS, ACTIONS_TOLD = 8, 4, 10


class TargetReference(Contract):
    """An EmbeddingModel in the same namespace."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "self.name == oldSelf.name",
                "`targetRef.name` must not change: make another DriftPolicy for another model",
                ".name",
            )
        )
    )

    name: KindName = Field(description="Name of the EmbeddingModel, in the same namespace.")


class WindowSpec(Contract):
    """A span of time over which the sketches are added up."""

    seconds: int = Field(
        ge=10,
        le=604_800,
        description="Length: a multiple of `spec.monitoring.windowSeconds` of the model.",
    )


class FalseAlarmBudget(Contract):
    """How rarely an alarm may be false while nothing drifts beyond the tolerance."""

    count: int = Field(default=1, ge=1, le=100, description="False alarms that are bearable.")
    per_seconds: int = Field(
        default=2_592_000,
        ge=3_600,
        le=31_536_000,
        description="The time in which they are: 2592000 is 30 days.",
    )


class RecallBoundSpec(Contract):
    """What the live recall of every index of the model is held to."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule("double(self.min) > 0.0", "`min` must be above 0: no recall is below it", ".min")
        )
    )

    k: int = Field(
        default=DEFAULT_RECALL_K,
        ge=1,
        le=MAX_RECALL_K,
        description="The k of recall@k: that of `spec.monitoring.recall` of the model.",
    )
    min: UnitFraction = Field(
        description='The bound, a decimal string such as "0.950". `RecallBelow` is seen when the'
        " whole 95% interval is below it."
    )
    span_seconds: int = Field(
        default=3_600,
        ge=600,
        le=86_400,
        description="The last seconds that are judged together, in whole windows of the model.",
    )
    min_queries: int = Field(
        default=300,
        ge=30,
        le=1_000_000,
        description="Searches of them, of all pods, below which an index is not judged.",
    )


Tolerance = Annotated[str, StringConstraints(pattern=r"^(Auto|[01](\.[0-9]{1,6})?)$", max_length=8)]
_HELD_OUT_NEEDED = "self.actions.all(a, a.do != 'Rollback' || a.when == 'Invalid')"


class DriftPolicySpec(Contract):
    """What is watched, how it is judged, and what is done."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.tolerance) || self.tolerance == 'Auto' || double(self.tolerance) > 0.0",
                "`tolerance` must be above 0, or Auto: beside a baseline of finitely many"
                " embeddings every stream differs a little, and with 0 the evidence grows without"
                " end",
                ".tolerance",
            ),
            rule(
                "!has(self.baselineWindows) || !has(self.baseline) || self.baseline == 'Traffic'",
                "`baselineWindows` must not be set with `baseline: HeldOut`: nothing is learned"
                " from traffic",
                ".baselineWindows",
            ),
            rule(
                "!has(self.baseline) || self.baseline == 'Traffic' || !has(self.roles)"
                " || !(self.roles.exists(r, r == 'Embedding'))",
                "`roles` must be [Query] with `baseline: HeldOut`: there is one such baseline, and"
                " it is compared with searches",
                ".roles",
            ),
            rule(
                "!has(self.windows) || self.windows.all(w, self.windows.filter(v,"
                " v.seconds == w.seconds).size() == 1)",
                "`windows` must have different `seconds`",
                ".windows",
            ),
            rule(
                "!has(self.actions) || self.actions.all(a, self.actions.filter(b,"
                " b.when == a.when && b.do == a.do).size() == 1)",
                "`actions` must name each pair of `when` and `do` once",
                ".actions",
            ),
            rule(
                "!has(self.actions) || (has(self.baseline) && self.baseline == 'HeldOut')"
                f" || {_HELD_OUT_NEEDED}",
                "`do: Rollback` needs `baseline: HeldOut`, or `when: Invalid`: beside a baseline of"
                " its own traffic the release cannot be what changed, and the one before would meet"
                " the same traffic",
                ".actions",
            ),
            rule(
                "!has(self.actions) || has(self.recall)"
                " || !self.actions.exists(a, a.when == 'RecallBelow')",
                "`recall` must be set with `when: RecallBelow`: it has the bound",
                ".recall",
            ),
            rule(
                "!has(self.actions)"
                " || !self.actions.exists(a, a.when == 'RecallBelow' && a.do == 'Rollback')",
                "`do: Rollback` must not be set with `when: RecallBelow`: the indexes of the"
                " release before answer nobody, so their recall on these searches is not known",
                ".actions",
            ),
        )
    )

    target_ref: TargetReference = Field(description="The model whose embeddings are watched.")
    roles: list[TrafficRole] = Field(
        default_factory=lambda: [TrafficRole.QUERY],
        min_length=1,
        max_length=2,
        description="What is watched: `Query` (items of searches, the default), `Embedding` (items"
        " of `/v1/embeddings`).",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    baseline: BaselineKind = Field(
        default=BaselineKind.TRAFFIC,
        description="What is compared with: `Traffic`, the first windows of the release that"
        " serves; `HeldOut`, the held-out embeddings of its own artifact.",
    )
    baseline_windows: int | None = Field(
        default=None,
        ge=6,
        le=64,
        description="Windows with `minSamples` from which the baseline of traffic is learned; 24 by"
        " default. They should cover a whole cycle of the traffic, or `tolerance` be set by hand.",
    )
    tolerance: Tolerance = Field(
        default=AUTO,
        description="Distance (MMD, 0 to 1.4) that is no drift yet: a decimal string such as"
        ' `"0.030"`, or `Auto`: what the windows of the baseline differ by.',
    )
    windows: list[WindowSpec] = Field(
        default_factory=list,
        max_length=MAX_WINDOWS,
        description="Spans whose distance is told; the first is the one that `LowerBound` judges."
        " None: the window of the monitors alone. Evidence grows with each window of the monitors.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    false_alarm_budget: FalseAlarmBudget = Field(
        default_factory=FalseAlarmBudget, description="How rarely an alarm may be false."
    )
    min_samples: int = Field(
        default=200,
        ge=20,
        le=1_000_000,
        description="Embeddings of a window, of all pods together, below which it is not judged.",
    )
    recall: RecallBoundSpec | None = Field(
        default=None,
        description="The live recall that the indexes must have; without it none is judged.",
    )
    actions: list[ActionRule] = Field(
        default_factory=lambda: [ActionRule(when=Trigger.EVIDENCE, do=Deed.ALERT)],
        max_length=MAX_ACTIONS,
        description="What is done when; an Alert on Evidence where nothing is named. Of several"
        " that apply the first one is done, beside all Alerts and Pauses.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    limits: LimitsSpec = Field(
        default_factory=LimitsSpec, description="What bounds the deeds of this policy."
    )

    def triggers_of(self, deed: Deed) -> set[Trigger]:
        """What leads to a deed."""
        return {action.when for action in self.actions if action.do is deed}


class State(StrEnum):
    """What a policy is doing, in one word."""

    UNMONITORED = "Unmonitored"  # there is nothing to watch; the message says why
    NO_DATA = "NoData"  # the monitors answer, and too little or nothing reaches them
    LEARNING = "Learning"
    QUIET = "Quiet"
    DRIFTING = "Drifting"
    RECALL_LOW = "RecallLow"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    ACTING = "Acting"


class DriftPolicyStatus(Contract):
    """What is seen, in a line, and what is done about it."""

    observed_generation: int = -1
    phase: str | None = None
    state: State | None = None
    message: str | None = None
    release: str | None = Field(default=None, description="The release that is watched.")
    value: str | None = Field(default=None, description="MMD of the last window, the worst role.")
    tolerance: str | None = None
    since: Time | None = Field(default=None, description="Since when it is in this state.")
    rebaselined: str | None = Field(
        default=None, max_length=128, description="The value of the annotation that was acted on."
    )
    pauses: Trigger | None = Field(
        default=None, description="What holds a release that is on its way, where `Pause` is asked."
    )
    request: Request | None = None
    actions: list[ActionTaken] | None = Field(
        default=None,
        max_length=ACTIONS_TOLD,
        description="The last of them, the newest first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    conditions: list[Condition] | None = Field(
        default=None,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


DriftPolicy = Resource[DriftPolicySpec, DriftPolicyStatus]


def parse(raw: Object) -> DriftPolicy:
    """Raises `pydantic.ValidationError` when the spec is not one that this version understands."""
    return parse_as(raw, DriftPolicySpec, DriftPolicyStatus)
