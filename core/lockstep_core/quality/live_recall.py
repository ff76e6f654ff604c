"""Index recall@k of live queries: scored one by one, added up over pods and windows, and judged.

The judgement is one of a rolling span. It looks again with each window, so an index whose recall is
the bound itself is below it now and then; one that is above it by half the width of the interval is
not (tests measure both).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lockstep_core.protocol.drift import RecallBound, RecallReport
from lockstep_core.protocol.recall import RecallWindow
from lockstep_core.protocol.result import SampleStatistics
from lockstep_core.quality.intervals import graded_interval

if TYPE_CHECKING:
    # It needs numpy, which who judges has no use for.
    from lockstep_core.quality.agreement import Ranked

CONFIDENCE = 0.975
"""Of each side: the interval has 95 %."""
TIE = 1e-5
"""Euclidean distances that differ by less are equal: float32 in another order of sums."""


def hits_of(found: Sequence[Ranked], exact: Sequence[Ranked]) -> tuple[int, int]:
    """How many of the neighbours that exact search gives an index found: hits, and how many were
    expected.

    One at the distance of the last exact one is a hit whoever it is: of equally far items any may
    be the k-th. One that is returned twice is one.
    """
    if not exact:
        return 0, 0
    wanted = {hit.id for hit in exact}
    farthest = max(hit.distance for hit in exact) + TIE
    distinct = {(hit.id, hit.distance) for hit in found}
    hits = sum(1 for name, distance in distinct if name in wanted or distance <= farthest)
    return min(hits, len(exact)), len(exact)


def statistics_of(windows: Iterable[RecallWindow]) -> SampleStatistics:
    """Of all their queries together."""
    n, total, squares = 0, 0.0, 0.0
    for window in windows:
        n += window.n
        total += window.n * window.mean
        squares += window.sumsq
    if n == 0:
        return SampleStatistics(n=0, mean=0.0, standard_deviation=0.0)
    mean = min(1.0, total / n)
    variance = max(0.0, squares - n * mean * mean) / (n - 1) if n > 1 else 0.0
    return SampleStatistics(n=n, mean=mean, standard_deviation=min(1.0, math.sqrt(variance)))


def report_of(index: str, windows: Iterable[RecallWindow], bound: RecallBound) -> RecallReport:
    """Of the windows of one index, from all pods."""
    found = statistics_of(windows)
    lower, upper = graded_interval(found, CONFIDENCE)
    return RecallReport(index, bound, found.n, found.mean, lower, upper)


def judge(windows: Iterable[RecallWindow], bound: RecallBound) -> tuple[RecallReport, ...]:
    """A report of each index, by name. Windows of another k are another number, and left out."""
    by_index: dict[str, list[RecallWindow]] = {}
    for window in windows:
        if window.k == bound.k:
            by_index.setdefault(window.index, []).append(window)
    return tuple(report_of(index, own, bound) for index, own in sorted(by_index.items()))
