"""Distances of windows to a baseline: rates over fresh windows of a quiet and a changed world."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.errors import MismatchError
from lockstep_core.drift.features import Features
from lockstep_core.drift.mmd import Distance, distance, judge, min_detectable
from lockstep_core.drift.sketch import Sketch, Span, empty
from lockstep_core.quality.verdicts import Verdict, Why
from tests.unit.core.drift.windows import accumulated, means
from tests.unit.core.drift.world import Rows, World

pytestmark = pytest.mark.unit


def distances(baseline: Baseline, features: Features, x: Rows, n: int) -> list[Distance]:
    """Of windows of n, one after the other."""
    found = []
    for sums in means(features, x, n):
        sketch = Sketch(features.digest, "Query", Span(0, 300), n, sums, np.zeros(1))
        one = distance(sketch, baseline, 2)
        assert one is not None
        found.append(one)
    return found


@pytest.fixture(scope="module")
def quiet(there: World, features: Features, baseline: Baseline) -> dict[int, list[Distance]]:
    """Windows that no other test saw, by their n."""
    rng = np.random.default_rng(10)
    rows = {50: 40_000, 500: 150_000, 5_000: 100_000}
    return {
        n: distances(baseline, features, there.draw(count, rng), n) for n, count in rows.items()
    }


def test_the_distance_of_a_quiet_window_is_zero_in_the_mean(
    quiet: dict[int, list[Distance]], baseline: Baseline
) -> None:
    for n, found in quiet.items():
        squared = np.array([one.squared for one in found])
        # All windows share one baseline, whose own error is an offset to the mean of all.
        shared = math.sqrt(2 * baseline.trace2) / baseline.n
        error = 3 * squared.std() / math.sqrt(len(squared)) + 3 * shared
        assert abs(squared.mean()) < error, n
        # Without the correction it would be this far off.
        assert error < baseline.trace / n, n


def test_one_table_serves_windows_of_every_size(
    quiet: dict[int, list[Distance]], baseline: Baseline
) -> None:
    for n, least, most in ((50, 0.03, 0.07), (500, 0.03, 0.07)):
        above = [one.statistic > baseline.quantiles[0.95] for one in quiet[n]]
        assert least <= float(np.mean(above)) <= most, n
        small = [one.p_value <= 0.05 for one in quiet[n]]
        assert np.mean(small) == pytest.approx(np.mean(above), abs=0.005)


@pytest.mark.parametrize("by", [0.05, 0.1])
def test_the_interval_covers_the_distance(
    by: float, there: World, features: Features, baseline: Baseline
) -> None:
    rng = np.random.default_rng(11)
    truth = features(there.shifted(there.draw(30_000, rng), by)).mean(axis=0, dtype=float)
    quiet = features(there.draw(30_000, rng)).mean(axis=0, dtype=float)
    mmd = float(np.linalg.norm(truth - quiet))
    found = distances(baseline, features, there.shifted(there.draw(25_000, rng), by), 500)
    assert np.mean([one.lower <= mmd for one in found]) >= 0.9
    assert np.mean([one.upper >= mmd for one in found]) >= 0.9
    assert np.mean([one.mmd for one in found]) == pytest.approx(mmd, abs=0.004)


def test_what_is_said_to_be_detectable_is_found_with_80_percent(
    there: World, features: Features, baseline: Baseline
) -> None:
    # A shift of .036 is an MMD of .0195, which is what windows of 500 are said to show.
    rng = np.random.default_rng(12)
    assert min_detectable(500, baseline) == pytest.approx(0.0176, abs=0.002)
    found = distances(baseline, features, there.shifted(there.draw(30_000, rng), 0.036), 500)
    assert np.mean([one.p_value <= 0.05 for one in found]) >= 0.75
    assert min_detectable(5_000, baseline) < min_detectable(500, baseline)


def test_too_few_are_absent_and_never_pass(features: Features, baseline: Baseline) -> None:
    nothing = empty(features.digest, features.size, features.dim, Span(0, 300))
    few = accumulated(features, [np.eye(3, 128, dtype=np.float32)])
    for sketch, n, why in ((nothing, 0, Why.NO_DATA), (few, 3, Why.TOO_FEW_SAMPLES)):
        assert distance(sketch, baseline, 200) is None
        assert distance(replace(few, n=1), baseline, 0) is None
        judged = judge(None, 10.0, n)
        assert (judged.verdict, judged.value, judged.reason) == (Verdict.INCONCLUSIVE, None, why)


def test_a_window_passes_by_its_upper_bound_alone(baseline: Baseline) -> None:
    def of(mmd: float, lower: float, upper: float) -> Distance:
        return Distance(500, mmd**2, mmd, lower, upper, 0.6, 0.5, 0.02)

    assert judge(of(0.01, 0.0, 0.029), 0.03).verdict is Verdict.PASS
    assert judge(of(0.01, 0.0, 0.031), 0.03).verdict is Verdict.INCONCLUSIVE
    assert judge(of(0.04, 0.029, 0.05), 0.03).verdict is Verdict.INCONCLUSIVE
    assert judge(of(0.04, 0.031, 0.05), 0.03).verdict is Verdict.FAIL
    rng = np.random.default_rng(0)
    for mmd, half, tolerance in rng.uniform(0, 0.1, (200, 3)):
        judged = judge(of(mmd, max(0, mmd - half), mmd + half), tolerance)
        if max(0, mmd - half) > tolerance:
            assert judged.verdict is Verdict.FAIL


def test_one_repeated_query_is_no_drift(
    there: World, features: Features, baseline: Baseline
) -> None:
    rng = np.random.default_rng(13)
    alarms, with_repeats = 0, 0
    for window in range(15):
        x = there.draw(1000, rng)
        x[:30] = x[0]
        one = distance(accumulated(features, [x], window), baseline, 200)
        assert one is not None
        assert one.n == 971
        alarms += one.p_value <= 0.001
        with_repeats += distances(baseline, features, x, 1000)[0].p_value <= 0.001
    assert (alarms, with_repeats > 12) == (0, True)


def test_a_window_of_other_features_is_refused(features: Features, baseline: Baseline) -> None:
    with pytest.raises(MismatchError, match="sha256:other"):
        distance(empty("sha256:other", features.size, 128, Span(0, 300)), baseline, 2)
