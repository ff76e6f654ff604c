"""Sums over longer spans than a window, of a bounded number of parts.

A span of a day would need 288 windows of five minutes to slide by one. It slides by a twelfth
instead: windows are added up into parts of equal length, and the span is its last twelve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lockstep_core.drift.sketch import Sketch, join

PARTS = 12


def as_stored(sketch: Sketch) -> Sketch:
    """Without bets, and with sums as they are after they were written and read."""
    return replace(
        sketch,
        sum_phi=sketch.sum_phi.astype(np.float32).astype(np.float64),
        sum_unit=sketch.sum_unit.astype(np.float32).astype(np.float64),
        bets={},
    )


@dataclass(frozen=True, eq=False)
class SpanSums:
    """The last `windows` windows, to the length of a part. `parts` are sketches by their time."""

    windows: int
    parts: tuple[Sketch, ...] = ()

    @property
    def part_windows(self) -> int:
        return math.ceil(self.windows / PARTS)

    def add(self, sketch: Sketch) -> SpanSums:
        """With one more window, which is after all that were added. Bets are left out."""
        plain, number = as_stored(sketch), sketch.span.first // self.part_windows
        parts = self.parts
        if parts and parts[-1].span.first // self.part_windows == number:
            parts = (*parts[:-1], as_stored(join((parts[-1], plain))))
        else:
            parts = (*parts, plain)
        return replace(self, parts=parts).at(sketch.span.first)

    def at(self, window: int) -> SpanSums:
        """What of it still counts in a window, whether anything came in that or not."""
        size = self.part_windows
        oldest = window // size - math.ceil(self.windows / size)
        return replace(self, parts=tuple(p for p in self.parts if p.span.first // size > oldest))

    @property
    def total(self) -> Sketch | None:
        """All of them together."""
        return join(self.parts) if self.parts else None
