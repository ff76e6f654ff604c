"""What a pod keeps of a window, and what it counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep_core.drift.accumulator import Accumulator, window_of
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.errors import DriftError, MismatchError
from lockstep_core.drift.features import Features, draw
from lockstep_core.drift.reservoir import FULL
from lockstep_core.drift.sketch import Counters, Invalid, Span
from tests.unit.core.drift.world import unit

pytestmark = pytest.mark.unit

DIM, SIZE = 6, 32
FEATURES = draw(DIM, (0.5, 1.0, 2.0), np.random.default_rng(0), size=SIZE)


def pod(features: Features = FEATURES, **options: object) -> Accumulator:
    return Accumulator(features, Span(7, 300), np.random.default_rng(0), **options)  # type: ignore[arg-type]


def rows(count: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, DIM)))


def test_a_window_is_a_part_of_unix_time() -> None:
    assert [window_of(at, 300) for at in (0, 299.9, 300, 1_700_000_000)] == [0, 0, 1, 5_666_666]


def test_sums_are_those_of_the_embeddings() -> None:
    x = 2 * rows(700)
    here = pod(unit_norm=False)
    here.add(x[:300])
    here.add(x[300:])
    sketch = here.sketch()
    phi = FEATURES(x).astype(float)
    np.testing.assert_allclose(sketch.sum_phi, phi.sum(axis=0), atol=1e-3)
    np.testing.assert_allclose(sketch.sum_unit, x.sum(axis=0) / 2, atol=1e-3)
    assert (sketch.n, sketch.sum_norm) == (700, pytest.approx(1400, rel=1e-6))
    assert sketch.sum_norm2 == pytest.approx(2800, rel=1e-6)
    assert sketch.counters == Counters(700, 700)
    assert (sketch.reservoir.rows, sketch.reservoir.full_spectra) == (FULL, 1)


def test_each_invalid_embedding_is_counted_by_its_reason() -> None:
    x = rows(6)
    x[0, 2] = np.nan
    x[1] = np.inf
    x[2] = 0
    x[3] *= 1.5
    x[4] = 3e38
    here = pod()
    here.add(x)
    here.add(np.ones((4, DIM + 1), dtype=np.float32))
    counters = here.sketch().counters
    assert counters.invalid == {
        Invalid.NAN: 2,
        Invalid.ZERO: 1,
        Invalid.NORM: 2,
        Invalid.DIM: 4,
    }
    assert (here.sketch().n, counters.sampled) == (1, 10)


def test_an_embedding_that_overflows_the_features_is_invalid_and_no_poison() -> None:
    steep = Features(np.full((DIM, 16), 1e30, dtype=np.float32), (1e-30,))
    here = pod(steep, unit_norm=False)
    here.add(np.concatenate([np.full((1, DIM), 1e10), np.full((3, DIM), 1e-20)]))
    sketch = here.sketch()
    assert np.isfinite(sketch.sum_phi).all()
    assert sketch.counters.invalid == {Invalid.NORM: 1}
    assert (sketch.n, sketch.counters.duplicates) == (1, 2)


def test_repeats_count_once_in_a_window() -> None:
    x = rows(100)
    here = pod()
    here.add(x)
    here.add(np.concatenate([x[:40], np.repeat(x[50:51], 30, axis=0), rows(5, 1)]))
    sketch = here.sketch()
    assert (sketch.n, sketch.counters.duplicates) == (105, 70)
    once = pod()
    once.add(x)
    once.add(rows(5, 1))
    np.testing.assert_allclose(sketch.sum_phi, once.sketch().sum_phi, rtol=1e-6)


def test_two_flipped_signs_are_no_repeat() -> None:
    x = rows(1)
    other = x * np.array([-1, -1, 1, 1, 1, 1], dtype=np.float32)
    here = pod()
    here.add(np.concatenate([x, other]))
    assert here.sketch().n == 2


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    here = pod(capacity=50)
    here.add(rows(80))
    here.skipped(20)
    here.dropped(3)
    sketch = here.sketch()
    assert sketch.n == 50
    assert sketch.counters == Counters(observed=103, sampled=50, dropped=33)


def test_each_embedding_is_as_likely_in_the_sample() -> None:
    features = draw(1, (1.0,), np.random.default_rng(0), size=2)
    counts = np.zeros(4)
    for seed in range(30):
        here = Accumulator(
            features, Span(0, 300), np.random.default_rng(seed), unit_norm=False, spectrum=False
        )
        here.add(np.arange(1, 4 * FULL + 1, dtype=np.float32)[:, None])
        quarters = (here._rows[:, 0] - 1) // FULL
        assert len(np.unique(here._rows)) == FULL
        counts += np.bincount(quarters.astype(int), minlength=4)
    # 30 * 512 places over four quarters: 3,840 each, standard deviation below 54.
    assert np.abs(counts - 30 * FULL / 4).max() < 5 * 54


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, float("nan")]),
            min_size=DIM,
            max_size=DIM,
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_counts_add_up_whatever_comes(batch: list[list[float]], unit_norm: bool) -> None:
    here = pod(unit_norm=unit_norm)
    here.add(np.array(batch, dtype=np.float32).reshape(len(batch), DIM))
    sketch = here.sketch()
    counters = sketch.counters
    assert counters.sampled == sketch.n + counters.duplicates + counters.invalid_total
    assert counters.observed == len(batch)
    assert np.isfinite(sketch.sum_phi).all()
    assert np.linalg.norm(sketch.sum_phi) <= sketch.n * (1 + 1e-5)


def bet(**fields: object) -> Bet:
    witness = np.zeros(SIZE, dtype=np.float32)
    witness[0] = 1
    whole = Bet("policy", "Query", FEATURES.digest, 7, witness, 0.1, 0.02, 0.3)
    return replace(whole, **fields)  # type: ignore[arg-type]


def test_a_bet_is_laid_on_each_distinct_embedding() -> None:
    x = rows(300)
    here = pod(bets=[bet(), bet(key="other", stake=0.1)])
    here.add(x)
    here.add(x[:10])
    h = FEATURES(x)[:, 0].astype(float) - 0.12
    sums = here.sketch().bet("policy", bet().digest)
    assert sums.n == 300
    assert sums.sum_h == pytest.approx(h.sum(), abs=1e-4)
    assert sums.sum_h2 == pytest.approx(h @ h, rel=1e-5)
    assert sums.sum_log1p == pytest.approx(np.log1p(0.3 * h).sum(), abs=1e-4)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"from_window": 8}, "window: 8 and 7"),
        ({"role": "Embedding"}, "role"),
        ({"features_digest": "sha256:other"}, "sha256:other"),
    ],
)
def test_a_bet_of_later_windows_or_another_kind_is_refused(
    fields: dict[str, object], says: str
) -> None:
    with pytest.raises(MismatchError, match=says):
        pod(bets=[bet(**fields)])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"epsilon": 0.0}, "`epsilon` 0.0"),
        ({"stake": 0.6}, "`lambda` 0.6"),
        ({"stake": -0.1}, "`lambda` -0.1"),
        ({"stake": float("nan")}, "`lambda` nan"),
        ({"offset": 3.0}, "`offset` 3.0"),
        ({"witness": np.ones(SIZE, dtype=np.float32)}, "`witness`"),
    ],
)
def test_a_bet_that_could_lose_more_than_half_is_refused(
    fields: dict[str, object], says: str
) -> None:
    with pytest.raises(DriftError, match=says):
        bet(**fields)
