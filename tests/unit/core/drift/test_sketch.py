"""Sketches merge as sums do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep_core.drift.bet import Bet
from lockstep_core.drift.errors import MismatchError
from lockstep_core.drift.features import draw
from lockstep_core.drift.sketch import Sketch, Span, empty, join, merge, merge_all
from tests.unit.core.drift.windows import accumulated

pytestmark = pytest.mark.unit

DIM, SIZE = 6, 32
FEATURES = draw(DIM, (0.5, 1.0, 2.0), np.random.default_rng(0), size=SIZE)


def bet(key: str = "policy", stake: float = 0.2) -> Bet:
    witness = np.full(SIZE, 0.9 / np.sqrt(SIZE), dtype=np.float32)
    return Bet(key, "Query", FEATURES.digest, 0, witness, 0.1, 0.01, stake)


def batches(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 7, DIM)).astype(np.float32)
    return list(x / np.linalg.norm(x, axis=2, keepdims=True))


def assert_equal(one: Sketch, other: Sketch) -> None:
    """To 1e-12, but for what is of a sample of its own in each pod."""
    assert (one.n, one.span, one.role, one.counters) == (
        other.n,
        other.span,
        other.role,
        other.counters,
    )
    np.testing.assert_allclose(one.sum_phi, other.sum_phi, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.sum_unit, other.sum_unit, rtol=1e-12, atol=1e-12)
    assert one.sum_norm == pytest.approx(other.sum_norm, rel=1e-12)
    assert one.bets.keys() == other.bets.keys()
    for key, sums in one.bets.items():
        assert sums.n == other.bets[key].n
        assert sums.sum_log1p == pytest.approx(other.bets[key].sum_log1p, rel=1e-12, abs=1e-12)
        assert sums.sum_h2 == pytest.approx(other.bets[key].sum_h2, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 4), min_size=1, max_size=12), st.randoms())
def test_the_merge_of_pods_is_the_sketch_of_all(seed: int, pods: list[int], random: object) -> None:
    parts = batches(seed, len(pods))
    whole = accumulated(FEATURES, parts, bets=[bet()])
    each = [
        accumulated(
            FEATURES,
            [part for part, owner in zip(parts, pods, strict=True) if owner == pod],
            seed=pod,
            bets=[bet()],
        )
        for pod in range(5)
    ]
    random.shuffle(each)  # type: ignore[attr-defined]
    assert_equal(merge_all(each), whole)
    # Associative: the last two first.
    assert_equal(merge_all([*each[:3], merge(each[3], each[4])]), whole)
    rows = sum(sketch.reservoir.rows for sketch in each)
    assert merge_all(each).reservoir.rows == rows


def test_nothing_changes_by_the_sketch_of_no_embedding() -> None:
    sketch = accumulated(FEATURES, batches(0, 3))
    assert_equal(merge(sketch, empty(FEATURES.digest, SIZE, DIM, sketch.span)), sketch)


def test_bets_of_other_digests_stay_apart() -> None:
    one = accumulated(FEATURES, batches(0, 1), bets=[bet(stake=0.2)])
    other = accumulated(FEATURES, batches(1, 1), bets=[bet(stake=0.1)])
    merged = merge(one, other)
    assert merged.bet("policy", bet(stake=0.2).digest).n == 7
    assert merged.bet("policy", "sha256:unknown").n == 0


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"features_digest": "sha256:other"}, "sha256:other"),
        ({"role": "Embedding"}, "Embedding"),
        ({"span": Span(1, 300)}, "first=1"),
        ({"span": Span(0, 60)}, "seconds=60"),
        ({"sum_phi": np.zeros(3)}, "3"),
    ],
)
def test_a_merge_of_two_kinds_is_refused_by_both_names(
    other: dict[str, object], names: str
) -> None:
    sketch = accumulated(FEATURES, batches(0, 1))
    with pytest.raises(MismatchError, match=names) as refused:
        merge(sketch, replace(sketch, **other))  # type: ignore[arg-type]
    assert str(refused.value.one) in str(refused.value)


def test_windows_join_into_a_longer_span_in_any_order() -> None:
    hour = [accumulated(FEATURES, batches(window, 2), window) for window in (5, 3, 8)]
    joined = join(hour)
    assert joined.span == Span(3, 300, 6)
    assert (joined.span.start_unix, joined.span.end_unix) == (900, 2700)
    assert joined.n == 42
    with pytest.raises(MismatchError, match="overlap"):
        join([joined, hour[0]])
    with pytest.raises(MismatchError, match="60"):
        join([hour[0], replace(hour[1], span=Span(90, 60))])


def test_there_is_no_merge_of_none() -> None:
    for how in (merge_all, join):
        with pytest.raises(ValueError, match="at least one"):
            how([])
