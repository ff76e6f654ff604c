"""The table of quantiles beside the distribution that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lockstep_core.drift.null import LEVELS, p_value, quantile_table, tail_p_value

pytestmark = pytest.mark.unit


def test_one_eigenvalue_is_a_chi_square() -> None:
    table = quantile_table([2.0], 2.0, 4.0, np.random.default_rng(0))
    for level in LEVELS[:-1]:
        assert table[level] == pytest.approx(2 * stats.chi2(1).ppf(level), rel=0.05, abs=0.01)


def test_the_largest_and_the_rest_are_near_to_all_of_them() -> None:
    values = np.arange(1, 400) ** -1.2
    trace, trace2 = float(values.sum()), float(values @ values)
    rng = np.random.default_rng(1)
    whole = quantile_table(values, trace, trace2, rng)
    for count in (64, 16):
        part = quantile_table(values[:count], trace, trace2, rng)
        for level, error in ((0.5, 0.01), (0.95, 0.01), (0.99, 0.02), (0.999, 0.04)):
            assert part[level] == pytest.approx(whole[level], rel=error)


def test_p_values_are_those_of_the_levels_and_stay_within_the_table() -> None:
    table = {0.5: 1.0, 0.9: 2.0, 0.99: 3.0}
    assert [p_value(s, table) for s in (0.0, 1, 2, 3, 99)] == pytest.approx(
        [0.5, 0.5, 0.1, 0.01, 0.01]
    )
    assert 0.01 < p_value(2.5, table) < 0.1


def test_the_tail_of_blocks_goes_through_its_quantiles() -> None:
    assert tail_p_value(1.0, 1.0, 2.0) == pytest.approx(0.5)
    assert tail_p_value(2.0, 1.0, 2.0) == pytest.approx(0.05)
    assert tail_p_value(-5.0, 1.0, 2.0) == 1
    assert tail_p_value(1.0, 1.0, 1.0) == 1.0
