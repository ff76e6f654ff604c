"""Relevance recall of two encoders and of raw inputs on the same queries, paired."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lockstep_core.protocol.result import RecallFacts, SampleStatistics
from lockstep_core.quality.recall import relevance_recall
from lockstep_core.quality.statistics import summarise

Vectors = NDArray[np.float32]


def recall_facts(
    ks: Sequence[int],
    labels: NDArray[np.str_],
    *,
    candidate: Vectors,
    baseline: Vectors,
    stable: Vectors | None = None,
    on_queries: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[RecallFacts, ...]:
    """Leave-one-out relevance recall at each of `ks` over items [N, D]; each may have its own D.

    `baseline` are the raw inputs as vectors. Gains are differences per query, so that the
    hardness of the queries cancels out. Each encoder is searched in its own space only.
    `on_queries` hears how many queries are done, of how many in all.
    """
    sides = [candidate, baseline] if stable is None else [candidate, baseline, stable]
    total = len(labels) * len(sides)
    recalls = []
    for before, vectors in enumerate(sides):

        def advance(done: int, before: int = before) -> None:
            on_queries(before * len(labels) + done, total)

        recalls.append(relevance_recall(vectors, labels, ks, on_queries=advance))
    ours, raw, *theirs = recalls
    return tuple(
        RecallFacts(
            k=k,
            candidate=summarise(ours[at]),
            baseline=summarise(raw[at]),
            gain_over_baseline=paired(ours[at], raw[at]),
            stable=summarise(theirs[0][at]) if theirs else None,
            gain_over_stable=paired(ours[at], theirs[0][at]) if theirs else None,
        )
        for at, k in enumerate(ks)
    )


def paired(a: ArrayLike, b: ArrayLike) -> SampleStatistics:
    """Statistics of a - b, query by query, where both have a value. Shapes [n] and [n]."""
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"pairs need equal shapes, not {left.shape} and {right.shape}")
    return summarise(left - right)
