"""Gauges of shape find what MMD does not."""

from __future__ import annotations

import numpy as np
import pytest

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.features import Features
from lockstep_core.drift.geometry import (
    Bands,
    Gauge,
    Gauges,
    GeometryState,
    bands_of,
    of_rows,
    read,
    step,
    total_variance,
)
from lockstep_core.drift.mmd import distance
from lockstep_core.drift.reservoir import effective_rank
from lockstep_core.drift.sketch import merge_all
from tests.unit.core.drift.windows import accumulated
from tests.unit.core.drift.world import World, unit

pytestmark = pytest.mark.unit


def test_gauges_are_those_of_their_formulae(there: World, features: Features) -> None:
    x = there.draw(512, np.random.default_rng(0)) * np.float32(1.002)
    gauges = read(accumulated(features, [x]))
    units = x.astype(float) / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = (units @ units.T)[np.triu_indices(512, 1)]
    values = np.linalg.eigvalsh(np.cov(units.T))
    shares = values[values > 0] / values[values > 0].sum()
    assert gauges[Gauge.MEAN_COSINE] == pytest.approx(cosines.mean(), abs=1e-5)
    assert gauges[Gauge.PARTICIPATION_RATIO] == pytest.approx(1 / np.mean(cosines**2), rel=1e-4)
    rank = np.exp(-np.sum(shares * np.log(shares)))
    assert gauges[Gauge.EFFECTIVE_RANK] == pytest.approx(rank, rel=1e-3)
    assert gauges[Gauge.NORM_MEAN] == pytest.approx(1.002, rel=1e-5)
    assert gauges[Gauge.NORM_DEVIATION] < 1e-3
    assert total_variance(gauges) == pytest.approx(1 - cosines.mean(), abs=1e-5)
    assert of_rows(x) == pytest.approx(gauges, abs=1e-3)


def test_effective_rank_of_known_shapes() -> None:
    rng = np.random.default_rng(0)
    assert effective_rank(rng.standard_normal((4000, 8))) == pytest.approx(8, rel=0.01)
    # More dimensions than rows: 20 rows span 19 once their mean is taken off.
    assert 15 < effective_rank(rng.standard_normal((20, 64))) < 19
    assert effective_rank(np.ones((30, 8))) == 1


def outside(features: Features, baseline: Baseline, x: np.ndarray) -> tuple[Gauge, ...]:
    assert baseline.geometry is not None
    return baseline.geometry.outside(read(accumulated(features, [x])))


def test_a_collapse_is_found_by_the_mean_cosine_and_not_by_mmd(
    there: World, features: Features, baseline: Baseline
) -> None:
    rng = np.random.default_rng(40)
    by_mmd = 0
    for _ in range(20):
        x = there.collapsed(there.draw(500, rng), 0.05)
        assert Gauge.MEAN_COSINE in outside(features, baseline, x)
        found = distance(accumulated(features, [x]), baseline, 200)
        by_mmd += found is not None and found.lower > baseline.epsilon_auto
    assert by_mmd <= 4


def test_dead_dimensions_are_found_by_the_effective_rank(
    there: World, features: Features, baseline: Baseline
) -> None:
    rng = np.random.default_rng(41)
    dead = np.argsort(there.noise)[:32]
    for _ in range(5):
        x = there.draw(520, rng)
        x[:, dead] = 0
        assert Gauge.EFFECTIVE_RANK in outside(features, baseline, unit(x))


def test_quiet_windows_of_any_size_are_within(
    there: World, features: Features, baseline: Baseline
) -> None:
    rng = np.random.default_rng(42)
    state, out = GeometryState(), 0
    assert baseline.geometry is not None
    for n in (120, 300, 512, 1500) * 10:
        gauges = read(accumulated(features, [there.draw(n, rng)]))
        out += len(baseline.geometry.outside(gauges))
        state = step(state, gauges, baseline.geometry)
        assert not state.violations
    # 3 gauges that vary, at 2 % each.
    assert out <= 10


def test_pods_are_merged_before_they_are_judged(
    there: World, features: Features, baseline: Baseline
) -> None:
    x = there.draw(640, np.random.default_rng(43))
    pods = merge_all([accumulated(features, [part]) for part in np.array_split(x, 8)])
    merged, whole = read(pods), read(accumulated(features, [x]))
    assert merged[Gauge.MEAN_COSINE] == pytest.approx(whole[Gauge.MEAN_COSINE], abs=1e-9)
    ratios = merged[Gauge.PARTICIPATION_RATIO], whole[Gauge.PARTICIPATION_RATIO]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.1)
    # It depends on the number of rows, and no pod had 512.
    assert Gauge.EFFECTIVE_RANK not in merged


def test_few_embeddings_have_no_gauges(there: World, features: Features) -> None:
    few = accumulated(features, [there.draw(99, np.random.default_rng(0))])
    assert read(few) == {}
    assert total_variance(read(few)) is None


def test_three_windows_in_a_row_make_a_violation() -> None:
    bands = Bands({Gauge.MEAN_COSINE: (0.2, 0.3), Gauge.NORM_MEAN: (0.9, 1.1)})

    def windows(*cosines: float | None) -> GeometryState:
        state = GeometryState()
        for cosine in cosines:
            values = {} if cosine is None else {Gauge.MEAN_COSINE: cosine, Gauge.NORM_MEAN: 1.0}
            state = step(state, Gauges(512, values), bands)
        return state

    assert windows(0.4, 0.4).violations == ()
    assert windows(0.4, 0.4, 0.4).violations == (Gauge.MEAN_COSINE,)
    assert windows(0.4, 0.1, 0.4).violations == (Gauge.MEAN_COSINE,)
    assert windows(0.4, 0.4, 0.25, 0.4).violations == ()
    # No data is neither.
    assert windows(0.4, 0.4, None, 0.4).violations == (Gauge.MEAN_COSINE,)
    assert windows(0.4, 0.4, None).violations == ()


def test_bands_need_three_windows() -> None:
    assert bands_of([Gauges(512, {Gauge.NORM_MEAN: 1.0})] * 2) is None
    found = bands_of([Gauges(n, {Gauge.NORM_MEAN: 1.0}) for n in (300, 500, 400)])
    assert found is not None
    assert found.n == 400
    assert Gauge.NORM_MEAN not in found.outside(Gauges(400, {Gauge.NORM_MEAN: 1.00005}))
    assert Gauge.NORM_MEAN in found.outside(Gauges(400, {Gauge.NORM_MEAN: 1.01}))
