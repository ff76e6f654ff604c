"""Index recall: the share of what exact search finds."""

from __future__ import annotations

import numpy as np
import pytest

from lockstep_indexer.measure import index_recall

pytestmark = pytest.mark.unit


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
