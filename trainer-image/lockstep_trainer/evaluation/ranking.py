"""What needs the rank of every relevant item: mAP, MRR, and which items are taken for which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Strings
from lockstep_trainer.evaluation.embedding import Floats
from lockstep_trainer.evaluation.quality import Groups

Rows = NDArray[np.int64]
Doubles = NDArray[np.float64]

MAX_QUERIES = 2000
MAX_ENTRIES = 100_000_000
"""Distances that are sorted in all, some ten seconds of one core; at least `MIN_QUERIES` rows."""
MIN_QUERIES = 200
BLOCK_ENTRIES = 2_000_000
"""Of one block, which is held half a dozen times in float64: 100 MB."""
ROWS_PER_PRODUCT = 16_384
"""Items that are float64 at a time."""

TIE_DECIMALS = 10
"""Squared distances that agree so far are equal: a product of matrices may round twins apart."""


@dataclass(frozen=True)
class Ranking:
    """Per query, over all other items from the nearest on; of equally near ones the first row.

    `average_precision` [Q]: mean over the relevant items of the precision at their rank; its mean
    over queries is mAP (Manning et al., Introduction to Information Retrieval, 8.4).
    `reciprocal_rank` [Q]: of the first relevant item; its mean is MRR (Voorhees, TREC-8, 1999).
    `nearest`, `nearest_own` [Q]: rows of the nearest item and the nearest of the same class;
    `distance`, `distance_own` [Q]: how far they are (Euclidean).
    """

    queries: Rows
    average_precision: Doubles
    reciprocal_rank: Doubles
    nearest: Rows
    nearest_own: Rows
    distance: Doubles
    distance_own: Doubles


def rank(embeddings: Floats, labels: Strings, *, seed: int = 0) -> Ranking:
    """Ranks all of `embeddings` [N, D] for a seeded choice of queries, by blocks.

    Raises:
        ValueError: no class has two items.
    """
    groups = Groups.of(labels)
    limit = min(MAX_QUERIES, max(MIN_QUERIES, MAX_ENTRIES // len(embeddings)))
    queries = groups.queries(limit, seed=seed)
    step = max(1, BLOCK_ENTRIES // len(embeddings))
    blocks = [
        _rank_block(embeddings, groups, queries[start : start + step])
        for start in range(0, len(queries), step)
    ]
    columns = zip(*blocks, strict=True)
    return Ranking(queries, *(np.concatenate(column) for column in columns))


def _rank_block(
    base: Floats, groups: Groups, queries: Rows
) -> tuple[Doubles, Doubles, Rows, Rows, Doubles, Doubles]:
    squared = _squared_distances(base[queries].astype(np.float64), base)
    here = np.arange(len(queries))
    squared[here, queries] = np.inf
    order = np.argsort(squared, axis=1, kind="stable")[:, :-1]
    hits = groups.codes[order] == groups.codes[queries][:, None]
    ranks = np.arange(1, order.shape[1] + 1)
    precision = hits.cumsum(axis=1) / ranks
    average = (precision * hits).sum(axis=1) / groups.relevant[queries]
    first = hits.argmax(axis=1)
    nearest, own = order[:, 0], order[here, first]
    return (
        average,
        1.0 / (first + 1),
        nearest,
        own,
        np.sqrt(squared[here, nearest]),
        np.sqrt(squared[here, own]),
    )


def _squared_distances(queries: Doubles, base: Floats) -> Doubles:
    """[Q, N], rounded so that twins are equally far."""
    squared = np.empty((len(queries), len(base)))
    own = np.einsum("qd,qd->q", queries, queries)[:, None]
    for start in range(0, len(base), ROWS_PER_PRODUCT):
        rows = slice(start, start + ROWS_PER_PRODUCT)
        part = base[rows].astype(np.float64)
        squared[:, rows] = own + np.einsum("nd,nd->n", part, part) - 2 * (queries @ part.T)
    return np.maximum(squared, 0).round(TIE_DECIMALS)
