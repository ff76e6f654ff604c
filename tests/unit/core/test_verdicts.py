from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_core.protocol.result import SampleStatistics
from lockstep_core.quality.verdicts import (
    Verdict,
    Why,
    combine,
    judge_at_least,
    judge_share_at_most,
)

pytestmark = pytest.mark.unit

PASS, FAIL = Verdict.PASS, Verdict.FAIL
INCONCLUSIVE, ERROR = Verdict.INCONCLUSIVE, Verdict.ERROR


def stats(n: int, mean: float, spread: float = 0.0) -> SampleStatistics:
    return SampleStatistics(n=n, mean=mean, standard_deviation=spread)


@pytest.mark.parametrize(
    ("n", "mean", "bound", "minimum", "verdict", "reason"),
    [
        (0, 0.0, 0.95, 1, INCONCLUSIVE, Why.NO_DATA),
        (0, 0.0, 0.0, 1, INCONCLUSIVE, Why.NO_DATA),
        (299, 1.0, 0.5, 300, INCONCLUSIVE, Why.TOO_FEW_SAMPLES),
        (299, 0.0, 0.5, 300, INCONCLUSIVE, Why.TOO_FEW_SAMPLES),
        (300, 1.0, 0.5, 300, PASS, Why.LOWER_BOUND_REACHED),
        (300, 0.0, 0.5, 300, FAIL, Why.UPPER_BOUND_BELOW),
        (300, 0.95, 0.95, 300, INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND),
        (300, 0.99, 0.95, 300, PASS, Why.LOWER_BOUND_REACHED),
        (300, 0.96, 0.95, 300, INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND),
        (300, 0.90, 0.95, 300, FAIL, Why.UPPER_BOUND_BELOW),
        (1, 1.0, 0.95, 1, INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND),
        (10, 1.0, 0.0, 1, PASS, Why.LOWER_BOUND_REACHED),
        (10, 1.0, 1.0, 1, INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND),
    ],
)
def test_at_least(
    n: int, mean: float, bound: float, minimum: int, verdict: Verdict, reason: Why
) -> None:
    judged = judge_at_least(stats(n, mean), bound, 0.95, minimum)
    assert (judged.verdict, judged.reason) == (verdict, reason)
    assert (judged.n, judged.bound) == (n, bound)
    assert judged.value == (mean if n else None)


def test_gains_are_judged_as_differences() -> None:
    judged = judge_at_least(stats(300, 0.2, 0.4), 0.05, 0.95, 300, bounded01=False)
    assert judged.verdict is PASS
    # Equal on every one of 20 queries does not show a gain of at least -0.05.
    judged = judge_at_least(stats(20, 0.0), -0.05, 0.95, 1, bounded01=False)
    assert judged.verdict is INCONCLUSIVE
    assert judge_at_least(stats(300, -0.2, 0.4), 0.0, 0.95, 1, bounded01=False).verdict is FAIL


@given(
    n=st.integers(0, 2000),
    mean=st.floats(0, 1),
    bound=st.floats(0, 1),
    minimum=st.integers(1, 1000),
    bounded01=st.booleans(),
)
def test_a_verdict_is_what_its_numbers_say(
    n: int, mean: float, bound: float, minimum: int, bounded01: bool
) -> None:
    judged = judge_at_least(stats(n, mean, 0.2), bound, 0.95, minimum, bounded01=bounded01)
    if judged.verdict is PASS:
        assert judged.lower >= bound
        assert n >= minimum
    if judged.verdict is FAIL:
        assert judged.upper < bound
        assert n >= minimum
    assert judged.verdict is not ERROR
    if n < minimum:
        assert judged.verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), INCONCLUSIVE),
        ((PASS,), PASS),
        ((PASS, PASS), PASS),
        ((PASS, INCONCLUSIVE), INCONCLUSIVE),
        ((INCONCLUSIVE, ERROR, PASS), ERROR),
        ((PASS, ERROR, INCONCLUSIVE, FAIL), FAIL),
    ],
)
def test_combined(verdicts: tuple[Verdict, ...], expected: Verdict) -> None:
    for order in itertools.permutations(verdicts):
        assert combine(order) is expected


def test_judgements_combine_by_their_verdict() -> None:
    good = judge_at_least(stats(300, 1.0), 0.5, 0.95, 1)
    assert combine([good]) is PASS
    assert combine([good, judge_at_least(stats(0, 0.0), 0.5, 0.95, 1)]) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("events", "n", "bound", "minimum", "verdict", "reason"),
    [
        (0, 0, 0.05, 1, INCONCLUSIVE, Why.NO_DATA),
        (0, 199, 0.5, 200, INCONCLUSIVE, Why.TOO_FEW_SAMPLES),
        (199, 199, 0.5, 200, INCONCLUSIVE, Why.TOO_FEW_SAMPLES),
        (14, 1204, 0.05, 200, PASS, Why.UPPER_BOUND_WITHIN),
        (120, 1204, 0.05, 200, FAIL, Why.LOWER_BOUND_ABOVE),
        (16, 400, 0.05, 200, INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND),
        (0, 10, 1.0, 1, PASS, Why.UPPER_BOUND_WITHIN),
        (1, 1_000_000, 0.0, 1, FAIL, Why.LOWER_BOUND_ABOVE),
        (0, 1_000_000, 0.0, 1, INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND),
    ],
)
def test_a_share_at_most(
    events: int, n: int, bound: float, minimum: int, verdict: Verdict, reason: Why
) -> None:
    found = judge_share_at_most(events, n, bound, 0.95, minimum)
    assert (found.verdict, found.reason, found.n) == (verdict, reason, n)
    assert found.value == (events / n if n else None)
