"""Exact neighbours and relevance recall against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lockstep_core.quality.recall as recall_module
from lockstep_core.quality.recall import (
    exact_neighbours,
    geometry,
    relevance_recall,
)

pytestmark = pytest.mark.unit

Matrix = np.ndarray


def normalised(vectors: Matrix) -> Matrix:
    found: Matrix = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return found


def brute_force(queries: Matrix, base: Matrix, k: int, exclude: Matrix | None) -> list[list[int]]:
    answers = []
    for number, query in enumerate(queries):
        ranked = sorted(
            (float(np.sqrt(((row.astype(np.float64) - query) ** 2).sum())), at)
            for at, row in enumerate(base)
            if exclude is None or at != exclude[number]
        )
        answers.append([at for _, at in ranked[:k]])
    return answers


@st.composite
def searches(draw: st.DrawFn) -> tuple[Matrix, Matrix, int, Matrix | None]:
    """Small sets on a coarse grid, so that equal rows and equal distances are common."""
    rows, width = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    count, k = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    base = random.integers(-2, 3, size=(rows, width)).astype(np.float32)
    queries = random.integers(-2, 3, size=(count, width)).astype(np.float32)
    exclude = random.integers(-1, rows, size=count) if draw(st.booleans()) else None
    return queries, base, k, exclude


@settings(max_examples=150, deadline=None)
@given(searches(), st.integers(1, 64))
def test_exact_neighbours_are_those_of_a_plain_loop(
    search: tuple[Matrix, Matrix, int, Matrix | None], block: int
) -> None:
    queries, base, k, exclude = search
    before = recall_module.BLOCK_ENTRIES
    recall_module.BLOCK_ENTRIES = block
    try:
        rows, distances = exact_neighbours(queries, base, k, exclude=exclude)
    finally:
        recall_module.BLOCK_ENTRIES = before
    assert rows.shape == distances.shape == (len(queries), k)
    for number, expected in enumerate(brute_force(queries, base, k, exclude)):
        padding = k - len(expected)
        assert rows[number].tolist() == expected + [-1] * padding
        assert np.isinf(distances[number][len(expected) :]).all()
        apart = np.linalg.norm(base[expected] - queries[number], axis=1)
        assert distances[number][: len(expected)] == pytest.approx(apart, abs=1e-6)


def test_equal_rows_are_ordered_by_number_whatever_the_gemm_rounds() -> None:
    random = np.random.default_rng(0)
    unique = normalised(random.normal(size=(40, 128)))
    base = np.tile(unique, (25, 1))
    rows, distances = exact_neighbours(unique, base, 30)
    for number in range(40):
        assert rows[number, :25].tolist() == list(range(number, 1000, 40))
    assert np.abs(distances[:, :25]).max() == 0


def test_nothing_to_search_is_padding() -> None:
    empty = np.empty((0, 3), dtype=np.float32)
    rows, distances = exact_neighbours(np.ones((2, 3), dtype=np.float32), empty, 4)
    assert (rows == -1).all()
    assert np.isinf(distances).all()
    assert exact_neighbours(empty, np.ones((2, 3), dtype=np.float32), 4)[0].shape == (0, 4)
    with pytest.raises(ValueError, match="k must be at least 1"):
        exact_neighbours(empty, empty, 0)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 25),
    st.integers(1, 6),
    st.integers(1, 30),
    st.sampled_from([1, 60, 10**6]),
)
def test_relevance_recall_is_that_of_a_plain_loop(
    seed: int, n: int, classes: int, k: int, block: int
) -> None:
    random = np.random.default_rng(seed)
    embeddings = normalised(random.normal(size=(n, 4)))
    labels = random.integers(0, classes, size=n).astype(np.str_)
    # Other k beside it, and blocks of a few queries, change nothing.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall_module, "BLOCK_ENTRIES", block)
        heard: list[int] = []
        _, found = relevance_recall(embeddings, labels, [1, k], on_queries=heard.append)
    assert heard == sorted(heard) and heard[-1] == n
    nearest = brute_force(embeddings, embeddings, k, np.arange(n))
    for query in range(n):
        relevant = [at for at in range(n) if at != query and labels[at] == labels[query]]
        if not relevant:
            assert np.isnan(found[query])
            continue
        hits = len(set(nearest[query]) & set(relevant))
        assert found[query] == pytest.approx(hits / min(k, len(relevant)))


def test_perfect_and_hopeless_embeddings() -> None:
    corners = np.eye(4, dtype=np.float32)
    together = np.repeat(corners, 3, axis=0)
    labels = np.repeat(np.array(list("abcd")), 3)
    assert (relevance_recall(together, labels, [2]) == 1).all()
    mixed = np.tile(np.array(list("abcd")), 3)
    # Each corner holds three classes, so the nearest two are never of the query's own.
    assert (relevance_recall(together, mixed, [2]) == 0).all()


def test_geometry_tells_collapse() -> None:
    point = np.tile(normalised(np.ones((1, 8))), (50, 1))
    assert geometry(point) == pytest.approx((0, 1), abs=1e-6)
    spread = normalised(np.random.default_rng(0).normal(size=(2000, 64)))
    assert geometry(spread) == pytest.approx((1, 0), abs=2e-3)
    opposite = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    assert geometry(opposite) == (1.0, -1.0)
    assert geometry(opposite[:1]) == (0.0, 0.0)
    assert geometry(opposite[:0]) == (0.0, 0.0)
