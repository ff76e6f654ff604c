"""What a DriftPolicy does about what it sees: rules, requests, and what became of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_operator.api.status import Time

ACTIONS_PER_DAY = 3


DAY = 86_400


class Trigger(StrEnum):
    """What is seen. `Evidence`: the bets against "no drift beyond the tolerance" won as much as the
    budget of false alarms asks. `LowerBound`: the 95% lower bound of the distance is above the
    tolerance. `Geometry`: the shape of the embeddings left its band three windows in a row.
    `Invalid`: embeddings that are no numbers, or have no direction. `RecallBelow`: the 95% interval
    of the recall of an index is below its bound."""

    EVIDENCE = "Evidence"
    LOWER_BOUND = "LowerBound"
    GEOMETRY = "Geometry"
    INVALID = "Invalid"
    RECALL_BELOW = "RecallBelow"


class Deed(StrEnum):
    """What is done. Tests hold this list against what the operator carries out."""

    ALERT = "Alert"
    PAUSE = "Pause"
    ROLLBACK = "Rollback"
    RETRAIN = "Retrain"
    REBUILD = "Rebuild"


class Approval(StrEnum):
    HUMAN = "Human"
    NONE = "None"


AT_ONCE = (Deed.ALERT, Deed.PAUSE)
"""Deeds that ask nobody: they change nothing that serves, and end with the drift."""


class ActionRule(Contract):
    """One deed, and what it answers to."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                f"!has(self.approval) || !(self.do in {[deed.value for deed in AT_ONCE]})",
                "`approval` must not be set with `do: Alert` or `do: Pause`: they ask nobody",
                ".approval",
            ),
            rule(
                f"!has(self.cooldownSeconds) || !(self.do in {[deed.value for deed in AT_ONCE]})",
                "`cooldownSeconds` must not be set with `do: Alert` or `do: Pause`: they last as"
                " long as the drift does, and are not repeated in it",
                ".cooldownSeconds",
            ),
        )
    )

    when: Trigger = Field(
        description="What is seen: `Evidence` (drift beyond the tolerance, within the budget of"
        " false alarms), `LowerBound` (the 95% lower bound of one window is above the tolerance),"
        " `Geometry` (three windows in a row of another shape), `Invalid` (embeddings that are"
        " no numbers), `RecallBelow` (the 95% interval of the live recall of an index is below"
        " `spec.recall.min`)."
    )
    do: Deed = Field(
        description="`Alert`: an Event, a condition and the status. `Pause`: a release that is on"
        " its way is held until the drift is over. `Rollback`: the release before takes the entry"
        " point back, where the drift began with the one that serves. `Retrain`: a release that"
        " trains on the data set as it is now; the same data end as NothingNew, before a step."
        " `Rebuild`: a release of the same model whose indexes read their corpus anew."
    )
    approval: Approval | None = Field(
        default=None,
        description="Who lets it happen: `Human` (the default) waits for the annotation that the"
        " status names, `None` does it at once.",
    )
    cooldown_seconds: int | None = Field(
        default=None,
        ge=600,
        le=31_536_000,
        description="Seconds before the same is asked for again; 21600 by default.",
    )

    @property
    def asks_a_person(self) -> bool:
        return self.do not in AT_ONCE and self.approval is not Approval.NONE

    @property
    def cooldown(self) -> int:
        return self.cooldown_seconds if self.cooldown_seconds is not None else 21_600


class LimitsSpec(Contract):
    """What bounds the deeds of one policy, whatever is seen."""

    actions_per_day: int = Field(
        default=ACTIONS_PER_DAY,
        ge=1,
        le=24,
        description="Rollbacks, trainings and rebuilds of this policy in 24 hours.",
    )


class Request(Contract):
    """A deed that was asked for and is not done yet: recorded before it is done."""

    id: Annotated[str, StringConstraints(max_length=64)] = Field(
        description="What the annotation `lockstep.dev/approve` names."
    )
    do: Deed
    when: Trigger
    release: str = Field(description="The release that drifts.")
    asked_at: Time
    approval: Approval
    approved_by: str | None = Field(default=None, max_length=256)
    approved_at: Time | None = None

    @property
    def may_be_done(self) -> bool:
        return self.approval is Approval.NONE or self.approved_at is not None


class ActionTaken(Contract):
    """What became of a request."""

    id: str
    do: Deed
    at: Time
    approved_by: str | None = None
    done: bool = Field(description="False: it was withdrawn before anything was done.")
    outcome: Annotated[str, StringConstraints(max_length=512)]
    release: str | None = Field(default=None, description="The release that was made for it.")
