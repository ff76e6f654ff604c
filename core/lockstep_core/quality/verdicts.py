"""Verdicts: what an interval says about a bound. Standard library only.

No data is Inconclusive: never Pass, never Fail. So is too little data, whatever it looks like.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lockstep_core.protocol.result import SampleStatistics
from lockstep_core.quality.intervals import mean_interval, share_interval


class Verdict(StrEnum):
    """`Error`: the check could not be made; `Inconclusive`: it was, and the data do not decide."""

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"


class Why(StrEnum):
    """Reasons of a judgement."""

    LOWER_BOUND_REACHED = "LowerBoundReached"
    UPPER_BOUND_BELOW = "UpperBoundBelow"
    UPPER_BOUND_WITHIN = "UpperBoundWithin"
    LOWER_BOUND_ABOVE = "LowerBoundAbove"
    INTERVAL_SPANS_BOUND = "IntervalSpansBound"
    TOO_FEW_SAMPLES = "TooFewSamples"
    NO_DATA = "NoData"


@dataclass(frozen=True)
class Judgement:
    """A verdict with the numbers that it rests on. `value` is None when there are no data."""

    verdict: Verdict
    value: float | None
    lower: float
    upper: float
    bound: float
    n: int
    reason: Why


def judge_at_least(
    stats: SampleStatistics,
    bound: float,
    confidence: float,
    min_samples: int,
    *,
    bounded01: bool = True,
) -> Judgement:
    """Is the mean at least `bound`?

    Pass when the lower confidence bound reaches it, Fail when the upper one stays below it, else
    Inconclusive; with fewer than `min_samples` values Inconclusive always. `bounded01`: the values
    lie in [0, 1], else they are differences in [-1, 1].
    """
    lower, upper = mean_interval(stats, confidence, bounded01=bounded01)
    verdict, reason = _decide(stats.n, lower, upper, bound, min_samples)
    value = stats.mean if stats.n else None
    return Judgement(verdict, value, lower, upper, bound, stats.n, reason)


def judge_share_at_most(
    events: int, n: int, bound: float, confidence: float, min_samples: int
) -> Judgement:
    """Is the probability of an event, of which `events` were seen in `n` trials, at most `bound`?

    Pass when the upper confidence bound stays within it, Fail when the lower one is above it, else
    Inconclusive; with fewer than `min_samples` trials Inconclusive always.
    """
    lower, upper = share_interval(events, n, confidence)
    verdict, reason = Verdict.INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND
    if n == 0:
        reason = Why.NO_DATA
    elif n < min_samples:
        reason = Why.TOO_FEW_SAMPLES
    elif upper <= bound:
        verdict, reason = Verdict.PASS, Why.UPPER_BOUND_WITHIN
    elif lower > bound:
        verdict, reason = Verdict.FAIL, Why.LOWER_BOUND_ABOVE
    return Judgement(verdict, events / n if n else None, lower, upper, bound, n, reason)


def _decide(
    n: int, lower: float, upper: float, bound: float, min_samples: int
) -> tuple[Verdict, Why]:
    if n == 0:
        return Verdict.INCONCLUSIVE, Why.NO_DATA
    if n < min_samples:
        return Verdict.INCONCLUSIVE, Why.TOO_FEW_SAMPLES
    if lower >= bound:
        return Verdict.PASS, Why.LOWER_BOUND_REACHED
    if upper < bound:
        return Verdict.FAIL, Why.UPPER_BOUND_BELOW
    return Verdict.INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND


# One clear Fail decides, whatever the others say; an Error hides what its check would have said.
_SEVERITY = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)


def combine(judgements: Iterable[Judgement | Verdict]) -> Verdict:
    """The verdict of several checks: Fail, else Error, else Inconclusive, else Pass.

    Of no check at all it is Inconclusive: nothing was measured.
    """
    verdicts = [item if isinstance(item, Verdict) else item.verdict for item in judgements]
    if not verdicts:
        return Verdict.INCONCLUSIVE
    return next((worst for worst in _SEVERITY if worst in verdicts), Verdict.PASS)
