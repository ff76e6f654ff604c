"""Relevance recall of two encoders and of raw inputs on the same queries, paired."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lockstep_core.protocol.result import RecallFacts
from lockstep_core.quality.recall import relevance_recall
from lockstep_core.quality.statistics import paired, summarise

Vectors = NDArray[np.float32]


def recall_facts(
    k: int,
    labels: NDArray[np.str_],
    *,
    candidate: Vectors,
    baseline: Vectors,
    stable: Vectors | None = None,
) -> RecallFacts:
    """Leave-one-out relevance recall@k over items [N, D]; each may have its own D.

    `baseline` are the raw inputs as vectors. Gains are differences per query, so that the
    hardness of the queries cancels out. Each encoder is searched in its own space only.
    """
    ours = relevance_recall(candidate, labels, k)
    raw = relevance_recall(baseline, labels, k)
    theirs = None if stable is None else relevance_recall(stable, labels, k)
    return RecallFacts(
        k=k,
        candidate=summarise(ours),
        baseline=summarise(raw),
        gain_over_baseline=paired(ours, raw),
        stable=None if theirs is None else summarise(theirs),
        gain_over_stable=None if theirs is None else paired(ours, theirs),
    )
