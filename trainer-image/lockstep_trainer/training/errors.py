"""How a run can end before its last step."""

from __future__ import annotations

from lockstep_core.protocol.result import Finding


class Diverged(Exception):
    """Training went wrong for good; the message has the number, the bound and what to try.

    `reason` is "Collapsed" or "LossNotFinite".
    """

    def __init__(self, message: str, reason: str = "Collapsed") -> None:
        super().__init__(message)
        self.reason = reason


class Stopped(Exception):
    """Training was asked to stop. `kept` is the step that its newest checkpoint holds, if any."""

    def __init__(self, message: str, kept: int | None = None) -> None:
        super().__init__(message)
        self.kept = kept


class TakenOver(Exception):
    """Another process trains this release now, so this one must write nothing more."""


class Refused(Exception):
    """What was saved is not of this training; the message says what differs and the way out."""


def reason_of(finding: Finding) -> str:
    """The reason of a `Diverged` that `finding` led to."""
    return "LossNotFinite" if finding.value is None else "Collapsed"
