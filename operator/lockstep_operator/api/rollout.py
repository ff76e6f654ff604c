"""How a candidate becomes stable: steps, approval, capacity. Policy, never identity."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_core.protocol.config import MAX_RECALLS
from lockstep_operator.api.gate_rows import is_none_of, is_one_of, named, named_as_judged
from lockstep_operator.api.gates import NEED_RECALL, NEED_STABLE, OFFLINE, Gate
from lockstep_operator.api.steps import MAX_STEPS, STEP_RULES, AnalysisStep, Step
from lockstep_operator.api.traffic import TrafficSpec


class Promotion(StrEnum):
    """`Automatic`: after the last step. `Manual`: when the release is approved."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class Supersede(StrEnum):
    """What a new spec does to a candidate: `Restart` gives it up, `Queue` lets it end first."""

    RESTART = "Restart"
    QUEUE = "Queue"


class Capacity(StrEnum):
    """`Availability`: stable keeps all its pods. `ResourceAware`: both share `serving.replicas`."""

    AVAILABILITY = "Availability"
    RESOURCE_AWARE = "ResourceAware"


class RollbackWindow(Contract):
    """How long a replaced release stays whole and warm, so that a rollback is one switch."""

    releases: int = Field(default=1, ge=0, le=5, description="Replaced releases that are kept.")
    seconds: int = Field(
        default=86400, ge=0, le=31_536_000, description="Seconds after which they are taken down."
    )


# Seconds; a check in less than that would read the store without end.
SHORTEST_CHECK = 600


class RolloutSpec(Contract):
    """How a candidate becomes stable. A change here applies at once: no new release."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                f"!has(self.gates) || self.gates.filter(g, {is_one_of('g', NEED_RECALL)} &&"
                f" !self.gates.exists(h, {is_one_of('h', NEED_RECALL)} && h.k == g.k"
                f" && h.name < g.name)).size() <= {MAX_RECALLS}",
                f"`gates` must ask for at most {MAX_RECALLS} different `k`: what an evaluation"
                " measures has to fit into 4 KiB",
                ".gates",
            ),
            rule(
                "!has(self.afterPromotion) || self.afterPromotion.gates.all(n, has(self.gates)"
                f" && self.gates.exists(g, g.name == n && {is_none_of('g', OFFLINE)}))",
                "`afterPromotion.gates` must name gates of `gates` that are measured live:"
                f" {named_as_judged(OFFLINE)} before anything serves",
                ".afterPromotion",
            ),
            rule(
                "!has(self.afterPromotion) || !has(self.gates)"
                " || self.afterPromotion.gates.all(n, self.gates.all(g, g.name != n"
                f" || {is_none_of('g', NEED_STABLE)}))",
                f"`afterPromotion.gates` must not name gates of type {named(NEED_STABLE)}: nothing"
                " serves beside the release by then, so what traffic does cannot be told from what"
                " the release does; name them in `steps`, and watch the release with a DriftPolicy",
                ".afterPromotion",
            ),
            rule(
                "!has(self.afterPromotion) || !has(self.rollbackWindow)"
                " || ((!has(self.rollbackWindow.releases) || self.rollbackWindow.releases > 0)"
                " && (!has(self.rollbackWindow.seconds) || self.rollbackWindow.seconds > 0))",
                "`afterPromotion` must not be set with an empty `rollbackWindow`: there would be"
                " nothing to go back to; raise `rollbackWindow.releases` and `.seconds`",
                ".afterPromotion",
            ),
            *STEP_RULES,
            rule(
                "!has(self.checkArtifactsSeconds) || self.checkArtifactsSeconds == 0"
                f" || self.checkArtifactsSeconds >= {SHORTEST_CHECK}",
                f"`checkArtifactsSeconds` must be 0 or at least {SHORTEST_CHECK}: each check reads"
                " every byte that a release serves from",
                ".checkArtifactsSeconds",
            ),
            rule(
                "!has(self.holdAtStep) || (has(self.steps)"
                " && self.holdAtStep <= self.steps.size())",
                "`holdAtStep` must be at most the number of `steps`",
                ".holdAtStep",
            ),
        )
    )

    steps: list[Step] = Field(
        default_factory=list,
        max_length=MAX_STEPS,
        description="The way from 0 to 100 percent. None: the entry point moves at once, as it"
        " does for the first release and for a rollback.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    after_promotion: AnalysisStep | None = Field(
        default=None,
        description="Live gates of a release that was just promoted, measured on all requests. One"
        " that fails takes the entry point back to the release before, while that is kept"
        " (`rollbackWindow`). Data that do not decide change nothing, and are told.",
    )
    hold_at_step: int | None = Field(
        default=None,
        ge=0,
        le=32,
        description="Steps that a candidate may take; then it waits until this is raised.",
    )
    promotion: Promotion = Field(
        default=Promotion.AUTOMATIC,
        description="`Automatic`: after the last step. `Manual`: it waits for `approvedRelease`, or"
        " for the annotation `lockstep.dev/promote`.",
    )
    approved_release: (
        Annotated[
            str,
            StringConstraints(pattern=r"^([a-z]([-a-z0-9]*)-)?r[1-9][0-9]{0,6}$", max_length=40),
        ]
        | None
    ) = Field(
        default=None,
        description="The release that may pass every pause for a person, as `r13`: an approval"
        " that lives in Git.",
    )
    supersede: Supersede = Field(
        default=Supersede.RESTART,
        description="What a new spec does to a candidate: `Restart` gives it up, `Queue` lets it"
        " end first, and then only the newest spec is released.",
    )
    capacity: Capacity = Field(
        default=Capacity.AVAILABILITY,
        description="`Availability`: stable keeps all its encoder pods until it is replaced."
        " `ResourceAware`: both releases share `serving.replicas`, for a cluster without spare"
        " GPUs; a rollback then starts pods first.",
    )
    traffic: TrafficSpec = Field(
        default_factory=TrafficSpec, description="Who splits the requests."
    )
    gates: list[Gate] = Field(
        default_factory=list,
        max_length=16,
        description="Checks that a candidate must pass.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    paused: bool = Field(
        default=False,
        description="Holds the candidate before its next step. Traffic stays where it is.",
    )
    progress_deadline_seconds: int = Field(
        default=900,
        ge=1,
        le=31_536_000,
        description="Longest wait for a Job's pod to start, for pods to become ready, and for a"
        " weight to be read back. Stands still while paused, and while a queue holds the Job.",
    )
    abort_scale_down_delay_seconds: int = Field(
        default=30,
        ge=0,
        le=86_400,
        description="How long pods of a candidate that lost its traffic stay, to end what reached"
        " them.",
    )
    rollback_window: RollbackWindow = Field(
        default_factory=RollbackWindow, description="How long a replaced release stays warm."
    )
    check_artifacts_seconds: int = Field(
        default=86_400,
        ge=0,
        le=31_536_000,
        description="Seconds between two checks of the stored files of what serves and of what is"
        " kept for a rollback: a Job reads every byte of them. 0: none by a schedule; one is still"
        " made when a kept release takes over, when a pod refuses its files, and on `retry`.",
    )
