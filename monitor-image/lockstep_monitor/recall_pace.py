"""How often an index may be asked: it serves users, and recall can wait. Pure; times in seconds."""

from __future__ import annotations

EXACT_SHARE = 0.01
"""Of the time of one thread of an index server, which a pod's exact searches take at most."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
BUDGET, BACKING_OFF = "Budget", "BackingOff"


class Pace:
    """Of one index, which is free at first."""

    def __init__(self) -> None:
        self._free_at = 0.0
        self._back_at = 0.0
        self._pause = 0.0

    def why_not(self, now: float) -> str | None:
        """Why it is not asked now; None: it may be."""
        if now < self._back_at:
            return BACKING_OFF
        return BUDGET if now < self._free_at else None

    def spent(self, now: float, exact_seconds: float) -> None:
        """An exact search took so long, whether it was answered or not."""
        self._free_at = max(self._free_at, now + exact_seconds / EXACT_SHARE)

    def refused(self, now: float) -> None:
        """It has no room, or does not answer: each time in a row it is left alone for longer."""
        self._pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, 2 * self._pause))
        self._back_at = now + self._pause

    def answered(self) -> None:
        self._pause = 0.0
