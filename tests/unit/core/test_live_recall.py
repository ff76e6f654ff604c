"""Index recall of live queries: scored with ties, added up, and judged with stated error rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from lockstep_core.protocol.drift import RecallBound, RecallReport
from lockstep_core.protocol.recall import RecallWindow
from lockstep_core.quality.live_recall import hits_of, judge, report_of, statistics_of

pytestmark = pytest.mark.unit

BUILD = "sha256:" + "1" * 64
BOUND = RecallBound(minimum=0.95)
WINDOWS_PER_HOUR, QUERIES_PER_WINDOW = 12, 300


@dataclass(frozen=True)
class Hit:
    id: str
    distance: float


def hits(*pairs: tuple[str, float]) -> list[Hit]:
    return [Hit(*pair) for pair in pairs]


@pytest.mark.parametrize(
    "found, exact, expected",
    [
        (hits(("a", 0.1), ("b", 0.2)), hits(("a", 0.1), ("b", 0.2)), (2, 2)),
        (hits(("a", 0.1), ("c", 0.3)), hits(("a", 0.1), ("b", 0.2)), (1, 2)),
        # Of two items at one distance either may be the last one.
        (hits(("a", 0.1), ("c", 0.2)), hits(("a", 0.1), ("b", 0.2)), (2, 2)),
        (hits(("a", 0.1), ("c", 0.2 + 5e-6)), hits(("a", 0.1), ("b", 0.2)), (2, 2)),
        (hits(("a", 0.1), ("c", 0.2 + 5e-5)), hits(("a", 0.1), ("b", 0.2)), (1, 2)),
        # One that is returned twice is one, and nobody has more hits than were expected.
        (hits(("a", 0.1), ("a", 0.1)), hits(("a", 0.1), ("b", 0.2)), (1, 2)),
        (hits(("a", 0.1), ("b", 0.1), ("c", 0.1)), hits(("a", 0.1), ("b", 0.1)), (2, 2)),
        ([], hits(("a", 0.1)), (0, 1)),
        (hits(("a", 0.1)), [], (0, 0)),
    ],
)
def test_a_hit_is_an_item_that_is_as_near(
    found: list[Hit], exact: list[Hit], expected: tuple[int, int]
) -> None:
    assert hits_of(found, exact) == expected


def window_of(values: NDArray[np.float64], number: int = 0, **fields: object) -> RecallWindow:
    told = {"window": number, "index": "letters", "build": BUILD, "k": 10}
    sums = {
        "n": len(values),
        "mean": float(values.mean()) if len(values) else 0.0,
        "sumsq": float((values * values).sum()),
        "hits": round(float(values.sum()) * 10),
        "expected": 10 * len(values),
    }
    return RecallWindow.model_validate({**told, **sums, **fields})


def recalls(rng: np.random.Generator, mean: float, count: int) -> NDArray[np.float64]:
    """Recall@10 of queries some of which are harder than others: a standard deviation of about .1,
    as graphs have it."""
    easy = rng.beta(mean * 18, (1 - mean) * 18, size=count)
    return rng.binomial(10, easy) / 10


def test_windows_of_pods_add_up_to_the_statistics_of_all_queries() -> None:
    values = recalls(np.random.default_rng(0), 0.96, 900)
    parts = [window_of(values[:400], 1), window_of(values[400:401], 1), window_of(values[401:], 2)]
    found = statistics_of(parts)
    assert found.n == 900
    assert found.mean == pytest.approx(values.mean())
    assert found.standard_deviation == pytest.approx(values.std(ddof=1))
    assert statistics_of([]).n == 0


def test_windows_of_another_k_are_another_number() -> None:
    values = recalls(np.random.default_rng(0), 0.96, 900)
    reports = judge([window_of(values), window_of(values, k=20, index="other")], BOUND)
    assert [report.index for report in reports] == ["letters"]


def test_the_interval_of_700_queries_is_at_most_a_hundredth_to_each_side() -> None:
    for mean in (0.9, 0.95, 0.98, 1.0):
        values = recalls(np.random.default_rng(1), mean, 700) if mean < 1 else np.ones(700)
        found = report_of("letters", [window_of(values)], BOUND)
        half = max(found.upper - found.value, found.value - found.lower)
        assert 0 < half <= 0.01, (mean, half)
        assert 0 <= found.lower <= found.value <= found.upper <= 1


def test_too_few_queries_are_no_verdict() -> None:
    values = np.zeros(BOUND.min_queries - 1)
    assert not report_of("letters", [window_of(values)], BOUND).judged
    assert not report_of("letters", [window_of(values)], BOUND).seen
    assert report_of("letters", [window_of(np.zeros(BOUND.min_queries))], BOUND).seen
    assert not report_of("letters", [], BOUND).judged


def rolling(seed: int, means: list[float]) -> list[RecallReport]:
    """What is reported after each window, where the index has these recalls."""
    rng = np.random.default_rng(seed)
    windows = [
        window_of(recalls(rng, mean, QUERIES_PER_WINDOW), number)
        for number, mean in enumerate(means)
    ]
    spans = (windows[max(0, at - BOUND.windows) : at] for at in range(1, len(windows) + 1))
    return [report_of("letters", span, BOUND) for span in spans]


def test_a_fall_of_three_hundredths_is_alarmed_within_an_hour_at_a_query_a_second() -> None:
    quiet, after = WINDOWS_PER_HOUR, WINDOWS_PER_HOUR
    when = []
    for seed in range(40):
        found = rolling(seed, [0.97] * quiet + [0.94] * after)
        assert not any(report.seen for report in found[:quiet])
        when.append(next(at for at, report in enumerate(found[quiet:], 1) if report.seen))
    assert max(when) <= WINDOWS_PER_HOUR


def test_an_index_a_little_above_its_bound_is_not_alarmed_in_a_day() -> None:
    """It is looked at 288 times: the span, and not one window, keeps that from adding up."""
    day = 24 * WINDOWS_PER_HOUR
    alarmed = sum(any(report.seen for report in rolling(seed, [0.957] * day)) for seed in range(20))
    assert alarmed == 0
