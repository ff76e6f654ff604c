"""Index recall: the share of what exact search finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lockstep_core.protocol.indexing import IndexSpec
from lockstep_indexer.measure import index_recall, measure_recall, sample_queries, without_self
from lockstep_indexer.vectors import StoredVectors, round_for_storage
from tests.unit.indexer.support import DEGRADED, FLAT, HNSW, clustered_vectors, searcher_of

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def stored() -> StoredVectors:
    return clustered_vectors()


def test_index_recall_counts_what_exact_search_finds() -> None:
    exact = np.array([[1, 2, 3], [4, 5, 6], [7, -1, -1], [-1, -1, -1]])
    found = np.array([[3, 1, 9], [8, 9, -1], [7, 3, 4], [1, 2, 3]])
    assert index_recall(found, exact)[:3] == pytest.approx([2 / 3, 0, 1])
    assert np.isnan(index_recall(found, exact)[3])


def test_a_row_that_is_returned_twice_is_one_hit() -> None:
    assert index_recall(np.array([[1, 1, 1]]), np.array([[1, 2, 3]])) == pytest.approx([1 / 3])


def test_a_twin_at_the_same_distance_is_no_miss() -> None:
    exact, exact_distances = np.array([[0, 1]]), np.array([[0.0, 0.5]], dtype=np.float32)
    found = np.array([[0, 2]])
    equal = np.array([[0.0, 0.5000001]], dtype=np.float32)
    farther = np.array([[0.0, 0.6]], dtype=np.float32)
    assert index_recall(found, exact)[0] == 0.5
    by = {"exact_distances": exact_distances}
    assert index_recall(found, exact, found_distances=equal, **by)[0] == 1.0
    assert index_recall(found, exact, found_distances=farther, **by)[0] == 0.5
    # Many twins never give more than everything; padding is never a hit.
    many = np.array([[0, 2, 3, -1]])
    near = np.zeros((1, 4), dtype=np.float32)
    assert index_recall(many, exact, found_distances=near, **by)[0] == 1.0
    assert index_recall(np.array([[-1, -1]]), exact, found_distances=near[:, :2], **by)[0] == 0.0


def test_self_is_taken_out_once_and_else_the_last_place() -> None:
    found = np.array([[7, 1, 2], [1, 7, 2], [1, 2, 3], [7, -1, -1]])
    own = np.array([7, 7, 7, 7])
    assert without_self(found, own).tolist() == [[1, 2], [1, 2], [1, 2], [-1, -1]]


def test_queries_are_distinct_and_follow_the_seed() -> None:
    chosen = sample_queries(5000, seed=1)
    assert len(np.unique(chosen)) == 1000 and chosen.max() < 5000
    assert np.array_equal(chosen, sample_queries(5000, seed=1))
    assert not np.array_equal(chosen, sample_queries(5000, seed=2))
    assert sample_queries(40, seed=1).tolist() == list(range(40))


@pytest.mark.parametrize("k", [1, 10, 100])
def test_index_recall_tells_a_sound_graph_from_a_degraded_one(
    stored: StoredVectors, tmp_path: Path, k: int
) -> None:
    def mean(recipe: IndexSpec) -> float:
        searcher = searcher_of(stored, recipe, tmp_path / "index.faiss")
        recall = measure_recall(searcher, stored, k, seed=0)
        assert recall.k == k and len(recall.per_query) == 1000
        return float(recall.per_query.mean())

    assert mean(FLAT) == 1.0
    assert mean(HNSW) >= 0.95
    assert mean(DEGRADED) < 0.9


def test_recall_of_a_corpus_smaller_than_k(tmp_path: Path) -> None:
    few = round_for_storage(np.eye(5, dtype=np.float32))
    recall = measure_recall(searcher_of(few, FLAT, tmp_path / "index.faiss"), few, 10, seed=0)
    assert recall.k == 4 and recall.per_query.tolist() == [1.0] * 5
