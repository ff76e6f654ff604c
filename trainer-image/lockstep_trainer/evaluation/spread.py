"""How many directions the embeddings use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lockstep_trainer.evaluation.embedding import Floats

MAX_SIDE = 1024
"""Rows or columns of the matrix whose spectrum is taken; wider items are sampled."""
ROWS_PER_BLOCK = 8192


def effective_rank(embeddings: Floats, *, seed: int = 0) -> float:
    """exp of the entropy of the normalised singular values of [N, D], not centred.

    Roy and Vetterli, The effective rank (EUSIPCO 2007); as RankMe (arXiv 2210.02885). Between 1
    (one direction) and D. It measures the use of dimensions, not collapse: that shows in
    `variance` (embeddings around one point may still fill all directions once centred).
    """
    values = singular_values(embeddings, seed=seed)
    total = values.sum()
    if total <= 0:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def singular_values(embeddings: Floats, *, seed: int) -> NDArray[np.float64]:
    """Of the rows, or of `MAX_SIDE` seeded ones where both sides are longer."""
    rows, columns = embeddings.shape
    if min(rows, columns) > MAX_SIDE:
        chosen = np.random.default_rng((seed, 4)).choice(rows, MAX_SIDE, replace=False)
        embeddings, rows = embeddings[chosen], MAX_SIDE
    if columns <= rows:
        gram = np.zeros((columns, columns))
        for start in range(0, rows, ROWS_PER_BLOCK):
            block = embeddings[start : start + ROWS_PER_BLOCK].astype(np.float64)
            gram += block.T @ block
    else:
        whole = embeddings.astype(np.float64)
        gram = whole @ whole.T
    values: NDArray[np.float64] = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))
    return values
