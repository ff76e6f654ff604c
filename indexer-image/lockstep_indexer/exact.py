"""Exact search over the stored vectors, and distances that do not depend on who found the rows.

FAISS compares many queries at once as |q|² + |b|² - 2qb: fast and, for unit rows in float32, wrong
by up to about 5e-7 in the square, so by up to 1e-3 in the distance of near duplicates: more than
two answers of one index may differ by. Every search here therefore only chooses rows, and the
distance of each chosen row is computed anew from the difference of the two vectors, in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lockstep_core.quality.recall import exact_neighbours
from lockstep_indexer.engines import Distances, Rows
from lockstep_indexer.vectors import StoredVectors, Vectors, restore

# Rows that are float32 at a time: 32 MiB at 128 dimensions, however large the corpus.
CHUNK_ROWS = 65536


def rescore(queries: Vectors, stored: StoredVectors, rows: Rows) -> tuple[Rows, Distances]:
    """Euclidean distance of each query (n, d) to its `rows` (n, k), and both nearest first.

    Equal distances go by row number. Row -1 (a place that was not filled) comes last, at infinity.
    """
    ordered, distances = measured(queries, stored, rows)
    return ordered, distances.astype(np.float32)


def measured(
    queries: Vectors, stored: StoredVectors, rows: Rows
) -> tuple[Rows, NDArray[np.float64]]:
    """As `rescore`, with distances in which only what is equally far is equal."""
    distances = np.full(rows.shape, np.inf)
    for query, chosen, out in zip(queries, rows, distances, strict=True):
        filled = chosen >= 0
        difference = np.asarray(stored[chosen[filled]], dtype=np.float64) - query
        out[filled] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    order = np.lexsort((rows, distances))
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)


def exact_search(
    queries: Vectors, stored: StoredVectors, k: int, *, exclude: Rows | None = None
) -> tuple[Rows, Distances]:
    """The k nearest of all stored rows to each query, chunk by chunk; as `exact_neighbours`.

    `exclude` (n,) names one row per query that does not count.
    """
    rows, distances = exact_measured(queries, stored, k, exclude=exclude)
    return rows, distances.astype(np.float32)


def exact_measured(
    queries: Vectors, stored: StoredVectors, k: int, *, exclude: Rows | None = None
) -> tuple[Rows, NDArray[np.float64]]:
    """As `exact_search`, with distances in which only what is equally far is equal."""
    candidates: list[Rows] = []
    for start in range(0, len(stored), CHUNK_ROWS):
        chunk = restore(stored[start : start + CHUNK_ROWS])
        rows, _ = exact_neighbours(queries, chunk, k, exclude=_within(exclude, start, len(chunk)))
        candidates.append(np.where(rows >= 0, rows + start, -1))
    rows, distances = measured(queries, stored, np.concatenate(candidates, axis=1))
    return rows[:, :k], distances[:, :k]


def _within(exclude: Rows | None, start: int, size: int) -> Rows | None:
    if exclude is None:
        return None
    inside = (exclude >= start) & (exclude < start + size)
    return np.where(inside, exclude - start, -1)
