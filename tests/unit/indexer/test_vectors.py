from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lockstep_indexer.vectors import (
    DegenerateVectorsError,
    check_normalised,
    restore,
    round_for_storage,
)

pytestmark = pytest.mark.unit


def unit_rows(count: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("value", "says"),
    [(0.0, "are zero"), (np.nan, "NaN"), (np.inf, "NaN or infinity"), (3.0, "not of length 1")],
)
def test_rows_that_cannot_be_indexed_are_named(value: float, says: str) -> None:
    vectors = unit_rows(20)
    vectors[[3, 11]] = value
    with pytest.raises(DegenerateVectorsError, match=rf"2 of 20 .*{says}.*: item-3, item-11$"):
        check_normalised(vectors, [f"item-{row}" for row in range(20)])


def test_only_the_first_of_many_bad_rows_are_named() -> None:
    vectors = np.zeros((20, 4), dtype=np.float32)
    with pytest.raises(DegenerateVectorsError, match=r"i7 and 12 more$") as raised:
        check_normalised(vectors, [f"i{row}" for row in range(20)])
    assert raised.value.rows.tolist() == list(range(20))


def test_rounding_moves_a_unit_vector_by_at_most_2_to_the_minus_11() -> None:
    vectors = unit_rows(500, 64)
    check_normalised(vectors, [""] * 500)
    moved = np.linalg.norm(restore(round_for_storage(vectors)) - vectors, axis=1)
    assert 0 < moved.max() <= 2**-11
