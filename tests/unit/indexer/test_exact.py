"""Exact search against brute force, and distances that do not depend on who found the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lockstep_indexer.exact import exact_search, rescore
from lockstep_indexer.vectors import StoredVectors, restore
from tests.unit.indexer.support import FLAT, clustered_vectors, searcher_of

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def stored() -> StoredVectors:
    return clustered_vectors()


def brute_force(
    queries: NDArray[np.float32], stored: StoredVectors
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All rows by distance, ties by row number, in float64 and with no formula but the norm."""
    rows = stored.astype(np.float64)
    apart = np.stack([np.linalg.norm(rows - query, axis=1) for query in queries.astype(float)])
    order = np.argsort(apart, axis=1, kind="stable")
    return order, np.take_along_axis(apart, order, axis=1)


@pytest.mark.parametrize("chunk", [7, 1000, 10**6])
def test_exact_search_is_brute_force_whatever_the_chunks(
    stored: StoredVectors, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("lockstep_indexer.exact.CHUNK_ROWS", chunk)
    some = stored[:60] if chunk == 7 else stored
    own = np.arange(0, 60, 4)
    rows, distances = exact_search(restore(some[own]), some, 9)
    order, apart = brute_force(restore(some[own]), some)
    assert np.array_equal(rows, order[:, :9])
    assert np.abs(distances - apart[:, :9]).max() < 1e-6
    without, _ = exact_search(restore(some[own]), some, 9, exclude=own)
    for query, row in enumerate(own):
        others = order[query][order[query] != row]
        assert np.array_equal(without[query], others[:9])


def test_the_distance_of_near_twins_does_not_depend_on_who_found_them(
    stored: StoredVectors, tmp_path: Path
) -> None:
    """FAISS itself is off by up to 1e-3 when it compares 20 queries or more at once."""
    searcher = searcher_of(stored, FLAT, tmp_path / "index.faiss")
    queries = restore(stored[:40])
    together = rescore(queries, stored, searcher.search(queries, 3))[1]
    alone = np.concatenate(
        [rescore(query[None], stored, searcher.search(query[None], 3))[1] for query in queries]
    )
    assert np.array_equal(together, alone)
    assert together[:, 0].max() == 0


def test_places_that_were_not_filled_come_last() -> None:
    stored = np.eye(4, dtype=np.float16)
    rows, distances = rescore(restore(stored[:1]), stored, np.array([[2, -1, 0, -1]]))
    assert rows.tolist() == [[0, 2, -1, -1]]
    assert distances.tolist() == [[0.0, pytest.approx(2**0.5), np.inf, np.inf]]
