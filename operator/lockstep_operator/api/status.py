"""Parts that the statuses of our kinds share, in the shape that Kubernetes tools expect."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lockstep_core.protocol.base import Contract

# RFC 3339, UTC, whole seconds: `2026-01-31T12:00:00Z`.
Time = Annotated[
    str, StringConstraints(max_length=32), Field(json_schema_extra={"format": "date-time"})
]

Hash = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Contract):
    """metav1.Condition."""

    type: Annotated[str, StringConstraints(max_length=316)]
    status: ConditionStatus
    reason: Annotated[str, StringConstraints(max_length=1024)]
    message: Annotated[str, StringConstraints(max_length=32768)]
    observed_generation: int = 0
    last_transition_time: Time


class GateVerdict(Contract):
    """One gate's verdict: a line that a person reads, and the numbers it rests on."""

    name: str
    verdict: str
    line: str = Field(description="Number, bound, verdict and what to do.")
    value: str | None = None
    bound: str | None = None
    samples: int | None = None
    observed_at: Time | None = None
    dry_run: bool | None = Field(
        default=None, description="Set when the gate is a dry run: shown, never in the way."
    )


class HistoryEntry(Contract):
    """How a release ended."""

    release: str
    outcome: str
    reason: str
    started_at: Time | None = None
    finished_at: Time | None = Field(
        default=None,
        description="When it was promoted first, or ended without: what it took ends here.",
    )
    replaced_at: Time | None = Field(
        default=None,
        description="When another release took its place, by a rollback or as the next one.",
    )


class Failure(Contract):
    """The last failure of a release, with what to look at."""

    stage: str
    reason: str
    message: str
    exit_code: int | None = None
    pod: str | None = None
    time: Time
