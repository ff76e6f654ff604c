"""Exact neighbours, and relevance recall: do items of the query's own class come first?

It must never share a name with *index recall@k*, which asks whether an index returns what exact
search returns, and is the indexer's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

# Entries of one block of the distance matrix: 64 MiB of float32.
BLOCK_ENTRIES = 16 * 1024 * 1024


def exact_neighbours(
    queries: Floats, base: Floats, k: int, *, exclude: Rows | None = None
) -> tuple[Rows, Floats]:
    """The k nearest rows of `base` [N, D] to each of `queries` [Q, D], nearest first.

    Returns rows [Q, k] and Euclidean distances [Q, k]; equal distances go by row number. Where
    fewer than k rows exist the rest is -1 and inf. `exclude` [Q] is one row per query that does not
    count (leave-one-out), -1 for none.

    Blockwise GEMM finds every row that float32 rounding allows among the first k; these few are
    measured again in float64, so ties and order do not depend on the BLAS or on the block size.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    count = len(queries)
    rows = np.full((count, k), -1, dtype=np.int64)
    distances = np.full((count, k), np.inf, dtype=np.float32)
    if len(base) == 0 or count == 0:
        return rows, distances
    base_norms = np.einsum("nd,nd->n", base, base)
    step = max(1, BLOCK_ENTRIES // len(base))
    for start in range(0, count, step):
        block = queries[start : start + step]
        skip = None if exclude is None else exclude[start : start + step]
        candidates = _candidates(block, base, base_norms, k, skip)
        for offset, near in enumerate(candidates):
            nearest, measured = _measure(block[offset], base, near, k)
            rows[start + offset, : len(nearest)] = nearest
            distances[start + offset, : len(nearest)] = measured
    return rows, distances


def _candidates(
    block: Floats, base: Floats, base_norms: Floats, k: int, skip: Rows | None
) -> list[Rows]:
    """Per query every row that may be among its k nearest."""
    norms = np.einsum("qd,qd->q", block, block)
    squared = norms[:, None] + base_norms[None, :] - 2 * (block @ base.T)
    if skip is not None:
        at = np.flatnonzero(skip >= 0)
        squared[at, skip[at]] = np.inf
    if k < len(base):
        limit = np.partition(squared, k - 1, axis=1)[:, k - 1]
    else:
        limit = np.full(len(block), np.inf, dtype=squared.dtype)
    # Rounding of the GEMM: about sqrt(D) ulps of the largest term; 4 sqrt(D) is ample.
    scale = norms + float(base_norms.max())
    slack = 4 * np.sqrt(base.shape[1]) * np.finfo(np.float32).eps * scale
    near = (squared <= (limit + slack)[:, None]) & (squared < np.inf)
    return [np.flatnonzero(row) for row in near]


def _measure(query: Floats, base: Floats, near: Rows, k: int) -> tuple[Rows, NDArray[np.float64]]:
    difference = base[near].astype(np.float64) - query
    measured = np.sqrt((difference * difference).sum(axis=1))
    order = np.lexsort((near, measured))[:k]
    return near[order], measured[order]


def relevance_recall(
    embeddings: Floats,
    labels: NDArray[np.str_],
    ks: Sequence[int],
    *,
    on_queries: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float64]:
    """Leave-one-out relevance recall@k of each item: |relevant in top k| / min(k, |relevant|).

    `embeddings` [N, D], `labels` [N]; relevant are the other items of the same class. Returns
    [len(ks), N], NaN where nothing is relevant: such a query measures nothing, so it must be
    skipped and not counted as a miss. One search serves every k, a block of queries at a time;
    `on_queries` hears how many are done.
    """
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    relevant = sizes[codes] - 1
    deepest, count = max(ks), len(embeddings)
    recall = np.full((len(ks), count), np.nan)
    step = max(1, BLOCK_ENTRIES // max(deepest, count))
    for start in range(0, count, step):
        own = np.arange(start, min(start + step, count))
        rows, _ = exact_neighbours(embeddings[own], embeddings, deepest, exclude=own)
        hits = ((codes[rows] == codes[own, None]) & (rows >= 0)).cumsum(axis=1)
        wanted = relevant[own]
        for at, k in enumerate(ks):
            out = recall[at, own[0] : own[-1] + 1]
            np.divide(hits[:, k - 1], np.minimum(k, wanted), out=out, where=wanted > 0)
        on_queries(int(own[-1]) + 1)
    return recall


def geometry(embeddings: Floats) -> tuple[float, float]:
    """Variance 1 - |mean|^2 and mean cosine of distinct pairs, of L2-normalised rows [N, D].

    Both tell collapse: variance near 0 and cosine near 1 mean that all items are one point. The
    cosine is 0 when there is no pair.
    """
    count = len(embeddings)
    if count == 0:
        return 0.0, 0.0
    total = embeddings.sum(axis=0, dtype=np.float64)
    squared = float(total @ total)
    variance = 1.0 - squared / count**2
    cosine = (squared - count) / (count * (count - 1)) if count > 1 else 0.0
    return variance, cosine
