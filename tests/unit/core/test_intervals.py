from __future__ import annotations

import subprocess
import sys
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from lockstep_core.protocol.result import SampleStatistics
from lockstep_core.quality.intervals import mean_interval, share_interval
from lockstep_core.quality.statistics import summarise

pytestmark = pytest.mark.unit


def stats(n: int, mean: float, spread: float = 0.0) -> SampleStatistics:
    return SampleStatistics(n=n, mean=mean, standard_deviation=spread)


def test_the_operator_judges_without_numpy() -> None:
    program = (
        "import sys, lockstep_core.quality.verdicts, lockstep_core.quality.intervals\n"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_wilson_gives_the_published_numbers() -> None:
    # 81 of 263, two-sided 95 %: Newcombe, Statistics in Medicine 17 (1998), Table I, method 3.
    lower, upper = mean_interval(stats(263, 81 / 263), 0.975, bounded01=True)
    assert (round(lower, 4), round(upper, 4)) == (0.2553, 0.3662)
    # 15 of 148 and 0 of 20, the same table.
    lower, upper = mean_interval(stats(148, 15 / 148), 0.975, bounded01=True)
    assert (round(lower, 4), round(upper, 4)) == (0.0624, 0.1605)
    lower, upper = mean_interval(stats(20, 0.0), 0.975, bounded01=True)
    assert (round(lower, 4), round(upper, 4)) == (0.0, 0.1611)


@pytest.mark.parametrize("n", [100, 300, 1000])
@pytest.mark.parametrize("p", [0.5, 0.8, 0.9, 0.95, 0.98])
def test_binary_recall_is_covered_at_the_nominal_rate(n: int, p: float) -> None:
    draws = np.random.default_rng(1).binomial(n, p, size=4000)
    bounds = {int(hits): mean_interval(stats(n, hits / n), 0.95, bounded01=True) for hits in draws}
    wrong_pass = np.mean([bounds[int(hits)][0] >= p for hits in draws])
    wrong_fail = np.mean([bounds[int(hits)][1] < p for hits in draws])
    # Nominal .05; the binomial is lumpy near 1, so the upper bound errs more there.
    assert wrong_pass <= 0.07
    assert wrong_fail <= 0.09


def test_graded_recall_is_covered_more_often_than_nominal() -> None:
    random = np.random.default_rng(2)
    truth = 0.9
    draws = random.beta(9, 1, size=(3000, 200))
    bounds = [mean_interval(summarise(row), 0.95, bounded01=True) for row in draws]
    assert np.mean([lower >= truth for lower, _ in bounds]) <= 0.01
    assert np.mean([upper < truth for _, upper in bounds]) <= 0.01


@pytest.mark.parametrize(
    ("n", "better", "worse"), [(100, 0.04, 0.04), (300, 0.03, 0.05), (1000, 0.05, 0.04)]
)
def test_paired_binary_gains_are_covered(n: int, better: float, worse: float) -> None:
    random = np.random.default_rng(3)
    draws = random.choice([1, 0, -1], p=[better, 1 - better - worse, worse], size=(3000, n))
    bounds = [mean_interval(summarise(row), 0.95, bounded01=False) for row in draws]
    truth = better - worse
    assert np.mean([lower > truth for lower, _ in bounds]) <= 0.07
    assert np.mean([upper < truth for _, upper in bounds]) <= 0.07


@pytest.mark.parametrize("n", [1, 5, 20, 100, 300])
def test_losses_too_rare_to_be_seen_are_within_the_bound(n: int) -> None:
    """A loss of probability q that no query shows: the bound must still allow for it."""
    lower, _ = mean_interval(stats(n, 0.0), 0.95, bounded01=False)
    assert -lower == pytest.approx(1 - 0.05 ** (1 / n))
    # "Rule of three".
    assert -lower <= 3 / n
    unseen = (1 - (-lower)) ** n
    assert unseen == pytest.approx(0.05)


@given(
    n=st.integers(1, 10_000),
    mean=st.floats(0, 1),
    low=st.floats(0.5, 0.99),
    high=st.floats(0.5, 0.99),
)
def test_more_confidence_is_a_wider_interval(n: int, mean: float, low: float, high: float) -> None:
    low, high = sorted((low, high))
    for bounded01 in (True, False):
        inner = mean_interval(stats(n, mean, 0.3), low, bounded01=bounded01)
        outer = mean_interval(stats(n, mean, 0.3), high, bounded01=bounded01)
        assert outer[0] <= inner[0] + 1e-12
        assert outer[1] >= inner[1] - 1e-12


@given(n=st.integers(1, 5_000), factor=st.integers(2, 20), mean=st.floats(0, 1))
def test_more_data_is_a_narrower_interval(n: int, factor: int, mean: float) -> None:
    for bounded01 in (True, False):
        few = mean_interval(stats(n, mean, 0.3), 0.95, bounded01=bounded01)
        many = mean_interval(stats(n * factor, mean, 0.3), 0.95, bounded01=bounded01)
        assert many[1] - many[0] <= few[1] - few[0] + 1e-12


@given(n=st.integers(1, 5_000), a=st.floats(0, 1), b=st.floats(0, 1))
def test_a_higher_mean_has_higher_bounds(n: int, a: float, b: float) -> None:
    a, b = sorted((a, b))
    below = mean_interval(stats(n, a), 0.95, bounded01=True)
    above = mean_interval(stats(n, b), 0.95, bounded01=True)
    assert below[0] <= above[0] + 1e-12
    assert below[1] <= above[1] + 1e-12


@given(n=st.integers(0, 1000), mean=st.floats(-1, 1), spread=st.floats(0, 2))
def test_bounds_enclose_the_mean_within_the_range(n: int, mean: float, spread: float) -> None:
    lower, upper = mean_interval(stats(n, mean, spread), 0.95, bounded01=False)
    assert -1 <= lower <= (mean if n else 1)
    assert (mean if n else -1) <= upper <= 1
    inside = abs(mean)
    lower, upper = mean_interval(stats(n, inside, spread), 0.95, bounded01=True)
    assert 0 <= lower <= (inside + 1e-12 if n else 1)
    assert (inside - 1e-12 if n else 0) <= upper <= 1


def test_a_spread_is_used_when_there_is_one() -> None:
    lower, upper = mean_interval(stats(1000, 0.1, 0.5), 0.95, bounded01=False)
    half = 1.6448536 * 0.5 / sqrt(1000)
    assert (lower, upper) == pytest.approx((0.1 - half, 0.1 + half))


@pytest.mark.parametrize("confidence", [0.0, 0.49, 1.0, 1.5, float("nan")])
def test_confidence_is_checked(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        mean_interval(stats(10, 0.5), confidence, bounded01=True)


@pytest.mark.parametrize("n", [1, 20, 300, 1204, 100_000])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_bounds_of_a_share_are_those_of_clopper_and_pearson(
    n: int, share: float, confidence: float
) -> None:
    events = round(n * share)
    lower, upper = share_interval(events, n, confidence)
    exact_lower = beta.ppf(1 - confidence, events, n - events + 1) if events else 0.0
    exact_upper = beta.ppf(confidence, events + 1, n - events) if events < n else 1.0
    assert lower == pytest.approx(exact_lower, rel=1e-6)
    assert upper == pytest.approx(exact_upper, rel=1e-6)


@pytest.mark.parametrize("n", [50, 200, 500, 2000])
@pytest.mark.parametrize("p", [0.001, 0.01, 0.05, 0.3])
def test_a_share_is_covered_at_least_as_often_as_it_says(n: int, p: float) -> None:
    """Not drawn but summed: every count that there can be, with its probability."""
    counts = np.arange(n + 1)
    chances = binom.pmf(counts, n, p)
    likely = [(int(count), chances[count]) for count in counts if chances[count] > 1e-12]
    bounds = {count: share_interval(count, n, 0.95) for count, _ in likely}
    wrong_pass = sum(chance for count, chance in likely if bounds[count][1] <= p)
    wrong_fail = sum(chance for count, chance in likely if bounds[count][0] > p)
    assert wrong_pass <= 0.05 and wrong_fail <= 0.05
    if n * p >= 25:
        # Where the counts are fine enough, it is not much more cautious than it says.
        assert wrong_pass > 0.03 and wrong_fail > 0.03


def test_a_share_of_nothing_and_an_impossible_one() -> None:
    assert share_interval(0, 0, 0.95) == (0.0, 1.0)
    for events, n in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="events of"):
            share_interval(events, n, 0.95)
