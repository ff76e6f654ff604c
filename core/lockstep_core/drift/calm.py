"""When an alarm is over: the windows since the drift are shown, together, to be within the
tolerance.

One window of few embeddings shows no distance below the tolerance, however quiet it is, and an
alarm would stay for ever. Windows are added up, and their interval narrows by the root of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.drift import mmd
from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.sketch import Sketch, join
from lockstep_core.drift.span_sums import as_stored

LEAST_WINDOWS = 3
MOST_WINDOWS = 12
"""After so many the sum begins anew: it may hold the windows in which the drift ended."""


@dataclass(frozen=True, eq=False)
class Calm:
    """`windows` windows in a row none of which shows drift, and the sum of them."""

    windows: int = 0
    total: Sketch | None = None

    def add(self, sketch: Sketch, *, shows_drift: bool) -> Calm:
        """After one more window."""
        if shows_drift:
            return Calm()
        plain = as_stored(sketch)
        if self.total is None or self.windows >= MOST_WINDOWS:
            return Calm(1, plain)
        return Calm(self.windows + 1, as_stored(join((self.total, plain))))

    def is_shown(self, baseline: Baseline, tolerance: float) -> bool:
        """Whether they are within the tolerance (MMD), with 97.5 %."""
        if self.windows < LEAST_WINDOWS or self.total is None:
            return False
        found = mmd.distance(self.total, baseline, 2)
        return found is not None and found.upper <= tolerance
