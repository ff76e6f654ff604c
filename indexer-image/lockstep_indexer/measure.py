"""Index recall@k: the share of the exact k nearest rows that the index returns (index only).

What is sampled, searched and compared here are distinct vectors. By rows, one vector that many have
would be asked for as often as it occurs, and each time be answered with its own copies: it would
flatter an index that finds nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lockstep_indexer.engines import Distances, Rows, Searcher
from lockstep_indexer.exact import exact_search, rescore
from lockstep_indexer.vectors import StoredVectors, restore

MAX_QUERIES = 1000


@dataclass(frozen=True)
class IndexRecall:
    """Recall@k of each sampled query (q,), and the exact distances (q, k) that it was held to."""

    k: int
    per_query: NDArray[np.float64]
    exact_distances: Distances


def sample_queries(rows: int, *, seed: int, limit: int = MAX_QUERIES) -> Rows:
    """Up to `limit` of the numbers 0 to `rows` - 1, each once, ascending, drawn from `seed`."""
    chosen = np.random.default_rng(seed).choice(rows, size=min(rows, limit), replace=False)
    return np.sort(chosen).astype(np.int64)


def without_self(rows: Rows, own: Rows) -> Rows:
    """Each query's `rows` (n, k + 1) without its `own` row: (n, k), order kept.

    The last place goes where the own row is not among them: k others were asked for.
    """
    leaves = rows == own[:, np.newaxis]
    leaves[~leaves.any(axis=1), -1] = True
    kept: Rows = rows[~leaves].reshape(len(rows), rows.shape[1] - 1)
    return kept


def index_recall(
    found_rows: Rows,
    exact_rows: Rows,
    *,
    found_distances: Distances | None = None,
    exact_distances: Distances | None = None,
    tolerance: float = 1e-5,
) -> NDArray[np.float64]:
    """Index recall@k of each query: the share of `exact_rows` [Q, k] among `found_rows` [Q, k'].

    -1 marks "no row" in both. With both distances (Euclidean) given, a found row also counts when
    it is as near as the k-th exact one, within `tolerance`: in a corpus with equal items the exact
    top k is not unique, and an index that returns the other twin missed nothing. (The definition of
    ann-benchmarks, arXiv 1807.05614 section 3.) NaN where no exact row exists.
    """
    recall = np.full(len(exact_rows), np.nan)
    for query, wanted in enumerate(exact_rows >= 0):
        if not wanted.any():
            continue
        # A row that is returned twice is one hit.
        rows, first = np.unique(found_rows[query], return_index=True)
        hit = np.isin(rows, exact_rows[query][wanted])
        if found_distances is not None and exact_distances is not None:
            farthest = exact_distances[query][wanted].max()
            hit |= found_distances[query][first] <= farthest + tolerance
        recall[query] = min(1.0, (hit & (rows >= 0)).sum() / wanted.sum())
    return recall


def measure_recall(
    searcher: Searcher, stored: StoredVectors, k: int, *, seed: int, limit: int = MAX_QUERIES
) -> IndexRecall:
    """Asks index and exact search for the k nearest others of up to `limit` `stored` vectors.

    They are the distinct vectors that the searcher numbers; only of a build that holds equal ones
    as often as they occur they are rows. The vector itself counts on neither side: every index
    finds it, so it would flatter the bad ones. Where there is no other, it is all there is to find.
    Stored vectors as queries are somewhat easier than unseen ones (0.967 against 0.959 measured on
    one graph of 200,000 rows): a bound that is met narrowly here says little about other queries.
    """
    if len(stored) == 1:
        return _of_one_vector(searcher, stored)
    k = min(k, len(stored) - 1)
    own = sample_queries(len(stored), seed=seed, limit=limit)
    queries = restore(stored[own])
    exact_rows, exact_distances = exact_search(queries, stored, k, exclude=own)
    others = without_self(searcher.search(queries, k + 1), own)
    rows, distances = rescore(queries, stored, others)
    per_query = index_recall(
        rows, exact_rows, found_distances=distances, exact_distances=exact_distances
    )
    return IndexRecall(k, per_query, exact_distances)


def _of_one_vector(searcher: Searcher, stored: StoredVectors) -> IndexRecall:
    found = searcher.search(restore(stored), 1)
    wanted = np.zeros((1, 1), dtype=np.int64)
    return IndexRecall(1, index_recall(found, wanted), np.zeros((1, 1), dtype=np.float32))
