"""Sufficient statistics of per-query values. A query without a value is NaN, and is skipped."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lockstep_core.protocol.result import SampleStatistics

# Six digits are far below any sampling error (1e-6 would take 1e11 queries), and keep the result
# of an evaluation with `MAX_RECALLS` recalls within its 4 KiB.
DIGITS = 6


def summarise(values: ArrayLike) -> SampleStatistics:
    """n, mean and sample standard deviation (n-1; 0 when n < 2) of values [n] in [-1, 1].

    Raises `pydantic.ValidationError` when the values lie outside of that range.
    """
    array = np.asarray(values, dtype=np.float64)
    present = array[~np.isnan(array)]
    if present.size == 0:
        return SampleStatistics(n=0, mean=0.0, standard_deviation=0.0)
    spread = float(present.std(ddof=1)) if present.size > 1 else 0.0
    return SampleStatistics(
        n=int(present.size),
        mean=round(float(present.mean()), DIGITS),
        standard_deviation=round(spread, DIGITS),
    )
