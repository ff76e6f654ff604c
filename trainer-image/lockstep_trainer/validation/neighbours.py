"""What the nearest neighbours of raw items tell about labels, duplicates and the task itself.

Bounded: whole classes are sampled until `MAX_ITEMS`, and long items are projected.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets import Dataset, Problem, Strings, flatten_raw
from lockstep_core.datasets.problems import problem

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

MAX_ITEMS = 6000
MAX_DIMENSION = 256
_BLOCK = 1024
NEIGHBOURS = 5
EASY = 0.98
"""Recall@1 of raw items beyond which training has next to nothing to gain."""
FLOOD = 0.2
NEAR = 0.03
"""Distance of unit vectors below which two items count as near copies: a cosine above 0.9995."""


def neighbour_cautions(
    dataset: Dataset, split: tuple[Rows, Rows]
) -> tuple[list[Problem], float | None]:
    """Warnings, and the raw recall@1 of held-out items (None where no class has two)."""
    training, held_out = (whole_classes(dataset.labels, rows) for rows in split)
    cautions = _label_and_copy_cautions(dataset, training)
    recall = _raw_recall(dataset, held_out)
    if recall is not None and recall > EASY:
        what = (
            f"raw items already have recall@1 {recall:.3f} on {len(held_out)} held-out items:"
            " an encoder can hardly be better, and may be worse"
        )
        fix = "search raw items, or hold out what is harder (split.by, split.evalFraction)"
        cautions.append(problem(what, (), fix, count=len(held_out)))
    return cautions, recall


def whole_classes(labels: Strings, rows: Rows, limit: int = MAX_ITEMS) -> Rows:
    """`rows`, or those of some classes with at most about `limit` items, always the same ones.

    A part of every class would take from items the neighbours that they are judged by.
    """
    if len(rows) <= limit:
        return rows
    classes, codes, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(classes))
    taken = order[: max(2, int(np.searchsorted(counts[order].cumsum(), limit)))]
    chosen: Rows = rows[np.isin(codes, taken)]
    # Classes may be larger than the limit by themselves.
    return chosen[:: -(-len(chosen) // limit)]


def _vectors(dataset: Dataset, rows: Rows) -> Floats:
    """Unit vectors of at most `MAX_DIMENSION` numbers (Johnson-Lindenstrauss projection)."""
    raw = flatten_raw(dataset.inputs[rows])
    if raw.shape[1] <= MAX_DIMENSION:
        return raw
    shape = (raw.shape[1], MAX_DIMENSION)
    projected = raw @ np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return flatten_raw(projected)


def nearest(vectors: Floats, k: int) -> tuple[Rows, Floats]:
    """The k other rows nearest to each of `vectors` [N, D] (unit length, N > k), and distances.

    In float32, with ties as they fall: among thousands of equal items an exact order, as
    `exact_neighbours` has it, would cost minutes and tell no more.
    """
    rows = np.empty((len(vectors), k), dtype=np.int64)
    distances = np.empty((len(vectors), k), dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK] @ vectors.T
        own = np.arange(len(block))
        block[own, start + own] = -np.inf
        best = np.argpartition(block, -k, axis=1)[:, -k:]
        cosines = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-cosines, axis=1, kind="stable")
        rows[start : start + _BLOCK] = np.take_along_axis(best, order, axis=1)
        sorted_cosines = np.take_along_axis(cosines, order, axis=1)
        distances[start : start + _BLOCK] = np.sqrt(np.maximum(0, 2 - 2 * sorted_cosines))
    return rows, distances


def _label_and_copy_cautions(dataset: Dataset, rows: Rows) -> list[Problem]:
    """Items among neighbours of one other class; near copies within a class."""
    if len(rows) <= NEIGHBOURS:
        return []
    vectors, labels = _vectors(dataset, rows), dataset.labels[rows]
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    near, distances = nearest(vectors, NEIGHBOURS)
    near_codes = codes[near]
    cautions = []
    # Its own class could have filled the places, and one other did.
    contradicted = (near_codes == near_codes[:, :1]).all(axis=1) & (near_codes[:, 0] != codes)
    contradicted &= counts[codes] > NEIGHBOURS
    if contradicted.any():
        examples = [
            f"row {rows[at]}: {labels[at]} among {labels[near[at, 0]]}"
            for at in np.flatnonzero(contradicted)
        ]
        what = (
            f"of {len(rows)} items looked at, those whose {NEIGHBOURS} nearest raw items are all of"
            " one other class (label noise?)"
        )
        cautions.append(problem(what, examples, "look at them; relabel or remove what is wrong"))
    copies = (distances[:, 0] < NEAR) & (near_codes[:, 0] == codes)
    if copies.mean() > FLOOD:
        examples = [f"rows {rows[at]} and {rows[near[at, 0]]}" for at in np.flatnonzero(copies)]
        what = f"of {len(rows)} items looked at, near copies of another of their class"
        fix = "remove the copies: they are easy positives, which teach nothing"
        cautions.append(problem(what, examples, fix))
    return cautions


def _raw_recall(dataset: Dataset, rows: Rows) -> float | None:
    labels = dataset.labels[rows]
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    queries = np.flatnonzero(counts[codes] > 1)
    if not queries.size:
        return None
    vectors = _vectors(dataset, rows)
    near, _ = nearest(vectors, 1)
    return float((codes[near[queries, 0]] == codes[queries]).mean())
