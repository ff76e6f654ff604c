"""Baselines of embeddings and of traffic: what they know, and that the two agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lockstep_core.drift.baseline import Baseline, Source, Term
from lockstep_core.drift.baseline_making import from_embeddings, from_windows
from lockstep_core.drift.errors import BaselineError, MismatchError
from lockstep_core.drift.features import Features
from lockstep_core.drift.geometry import Gauge
from lockstep_core.drift.mmd import distance
from lockstep_core.drift.sketch import Sketch, merge_all
from tests.unit.core.drift.windows import accumulated
from tests.unit.core.drift.world import Rows, World

pytestmark = pytest.mark.unit
N, WINDOWS = 600, 24


def traffic(
    there: World, features: Features, *, wobbly: bool, pods: int = 1, seed: int = 20
) -> list[Sketch]:
    rng = np.random.default_rng(seed)
    draw = there.wobbly if wobbly else there.draw
    sketches = []
    for window in range(WINDOWS):
        x = draw(N, rng)
        parts = [
            accumulated(features, [part], window, seed=window, spectrum=True)
            for part in np.array_split(x, pods)
        ]
        sketches.append(merge_all(parts))
    return sketches


@pytest.fixture(scope="module")
def calm(there: World, features: Features) -> list[Sketch]:
    return traffic(there, features, wobbly=False)


@pytest.fixture(scope="module")
def wobbly(there: World, features: Features) -> list[Sketch]:
    return traffic(there, features, wobbly=True)


def test_a_baseline_of_traffic_knows_what_one_of_embeddings_knows(
    calm: list[Sketch], baseline: Baseline
) -> None:
    """Of 24 sketches, beside the covariance of 20,000 embeddings."""
    found = from_windows(calm, np.random.default_rng(0))
    assert (found.source, found.n) == (Source.TRAFFIC, N * WINDOWS)
    assert found.trace == pytest.approx(baseline.trace, rel=0.01)
    assert found.trace2 == pytest.approx(baseline.trace2, rel=0.05)
    assert found.lambda1 == pytest.approx(baseline.lambda1, rel=0.08)
    for level in (0.5, 0.95, 0.99, 0.999):
        assert found.quantiles[level] == pytest.approx(baseline.quantiles[level], rel=0.02)


def test_wobble_between_windows_is_not_taken_for_sampling_error(
    wobbly: list[Sketch], baseline: Baseline
) -> None:
    found = from_windows(wobbly, np.random.default_rng(0))
    assert found.trace2 == pytest.approx(baseline.trace2, rel=0.1)
    assert found.lambda1 == pytest.approx(baseline.lambda1, rel=0.15)
    # From the means of the windows alone, it would be this much.
    means = np.stack([sketch.mean_phi for sketch in wobbly]) - found.mean
    gram = N * means @ means.T
    pairs = gram[np.triu_indices(WINDOWS, 1)]
    assert np.mean(pairs**2) > 1.3 * baseline.trace2


def test_small_samples_bound_the_largest_eigenvalue_from_above(
    there: World, features: Features, baseline: Baseline
) -> None:
    found = from_windows(traffic(there, features, wobbly=False, pods=8), np.random.default_rng(0))
    assert found.trace2 == pytest.approx(baseline.trace2, rel=0.1)
    assert found.lambda1 == pytest.approx(np.sqrt(found.trace2))
    assert baseline.lambda1 < found.lambda1 < 2 * baseline.lambda1


def test_the_tolerance_covers_how_windows_vary(
    calm: list[Sketch], wobbly: list[Sketch], baseline: Baseline, there: World, features: Features
) -> None:
    rng = np.random.default_rng(0)
    quiet, restless = from_windows(calm, rng), from_windows(wobbly, rng)
    assert (quiet.block_calibrated, restless.block_calibrated) == (True, True)
    assert restless.epsilon_auto > 1.4 * quiet.epsilon_auto
    assert restless.epsilon_term is Term.BLOCKS
    assert restless.blocks is not None
    assert (restless.blocks.count, restless.blocks.n) == (WINDOWS, N)
    draws = np.random.default_rng(21)
    fresh = [accumulated(features, [there.wobbly(N, draws)], window) for window in range(30)]
    by_blocks = [distance(sketch, restless, 200) for sketch in fresh]
    by_sampling = [distance(sketch, baseline, 200) for sketch in fresh]
    assert np.mean([one.p_value <= 0.05 for one in by_blocks if one]) <= 0.15
    assert np.mean([one.p_value <= 0.05 for one in by_sampling if one]) >= 0.8


def test_without_time_blocks_it_is_marked(baseline: Baseline) -> None:
    assert (baseline.source, baseline.block_calibrated) == (Source.HELD_OUT, False)
    assert baseline.epsilon_term is Term.SAMPLING
    assert baseline.epsilon_auto == baseline.sampling_error == pytest.approx(0.011, abs=0.001)
    assert not baseline.small


def test_time_blocks_of_recorded_traffic_calibrate(there: World, features: Features) -> None:
    rng = np.random.default_rng(22)
    x = np.concatenate([there.wobbly(300, rng) for _ in range(20)])
    found = from_embeddings(x, features, rng, blocks=np.repeat(np.arange(100, 120), 300))
    assert found.blocks is not None
    assert (found.blocks.count, found.blocks.n, found.small) == (20, 300, True)
    assert found.epsilon_term is Term.BLOCKS
    few = from_embeddings(x, features, rng, blocks=np.repeat(np.arange(5), 1200))
    assert few.blocks is None


def test_repeats_are_left_out(reference: Rows, features: Features) -> None:
    x = reference[:2000]
    again = np.concatenate([x, x[:500]])
    with pytest.raises(BaselineError, match="2000 distinct embeddings, fewer than 2001"):
        from_embeddings(again, features, np.random.default_rng(0), least=2001)
    blocks = np.repeat([0, 1], [2000, 500])
    with pytest.raises(BaselineError, match="2500 distinct embeddings, fewer than 2501"):
        from_embeddings(again, features, np.random.default_rng(0), blocks=blocks, least=2501)


def test_bands_are_those_of_the_world(baseline: Baseline, calm: list[Sketch]) -> None:
    assert baseline.geometry is not None
    low, high = baseline.geometry.bands[Gauge.MEAN_COSINE]
    assert low < 0.231 < high < low + 0.06
    assert baseline.geometry.bands.keys() == set(Gauge)
    found = from_windows(calm, np.random.default_rng(0)).geometry
    assert found is not None
    found_rank = sum(baseline.geometry.bands[Gauge.EFFECTIVE_RANK]) / 2
    assert found.n == N
    assert found.bands[Gauge.EFFECTIVE_RANK][0] < found_rank < found.bands[Gauge.EFFECTIVE_RANK][1]


@pytest.mark.parametrize(
    ("embeddings", "blocks", "says"),
    [
        (np.zeros((10, 3)), None, "not \\[n, 128\\]"),
        (np.full((10, 128), np.nan), None, "finite"),
        (np.ones((5000, 128)), None, "1 distinct embeddings, fewer than 2000"),
        (np.ones((10, 128)), np.zeros(3, dtype=int), "`blocks`"),
    ],
)
def test_too_little_makes_no_baseline(
    embeddings: np.ndarray, blocks: np.ndarray | None, says: str, features: Features
) -> None:
    with pytest.raises(BaselineError, match=says):
        from_embeddings(embeddings, features, np.random.default_rng(0), blocks=blocks)


def test_too_little_traffic_makes_no_baseline(calm: list[Sketch]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(BaselineError, match="5 windows with data, fewer than 6"):
        from_windows(calm[:5], rng)
    with pytest.raises(BaselineError, match="14400 embeddings, fewer than 20000"):
        from_windows(calm, rng, least=20_000)
    with pytest.raises(MismatchError, match="span"):
        from_windows([*calm, calm[0]], rng)
    with pytest.raises(MismatchError, match="Embedding"):
        from_windows([*calm[:-1], replace(calm[-1], role="Embedding")], rng)
    bare = [replace(sketch, reservoir=type(sketch.reservoir)()) for sketch in calm]
    with pytest.raises(BaselineError, match="no sketch has a spectrum"):
        from_windows(bare, rng)
