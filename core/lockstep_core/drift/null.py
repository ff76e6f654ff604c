"""How far a window is from its baseline where nothing drifts.

S = ||mu_w - mu_r||^2 / (1/n + 1/N) is distributed as sum_i l_i chi^2_1 at every n, where l_i are
the eigenvalues of the covariance C of phi (Gretton et al. 2009, the spectral null). So one table,
made with the baseline, serves windows of every size, and no permutation is needed while serving.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999)
DRAWS = 200_000
_AT_ONCE = 20_000


def quantile_table(
    largest: ArrayLike, trace: float, trace2: float, rng: np.random.Generator
) -> dict[float, float]:
    """Quantiles of S by level, of 200,000 draws: the largest eigenvalues one by one, the rest as
    one gamma variable of the same mean and variance, which are tr C and 2 tr C^2 less theirs."""
    top = np.sort(np.asarray(largest, dtype=np.float64))[::-1]
    mean = max(0.0, trace - float(top.sum()))
    variance = max(0.0, 2 * (trace2 - float(top @ top)))
    draws = np.empty(DRAWS)
    for start in range(0, DRAWS, _AT_ONCE):
        normal = rng.standard_normal((_AT_ONCE, len(top)))
        draws[start : start + _AT_ONCE] = (normal * normal) @ top
    if mean > 0 and variance > 1e-12 * mean**2:
        draws += rng.gamma(mean**2 / variance, variance / mean, DRAWS)
    else:
        draws += mean
    return dict(zip(LEVELS, np.quantile(draws, LEVELS).tolist(), strict=True))


def p_value(statistic: float, quantiles: Mapping[float, float]) -> float:
    """P(S >= statistic), by interpolation of its logarithm within the table; at the table's ends it
    stays at their levels, here .9 and .0001."""
    levels = sorted(quantiles)
    values = [quantiles[level] for level in levels]
    logs = [float(np.log1p(-level)) for level in levels]
    return float(np.exp(np.interp(statistic, values, logs)))


def tail_p_value(value: float, q50: float, q95: float) -> float:
    """P(block >= value) of an exponential tail through two quantiles of blocks; at most 1."""
    if q95 <= q50:
        return 1.0 if value <= q50 else 0.05
    slope = float(np.log(0.1)) / (q95 - q50)
    return float(np.exp(min(0.0, np.log(0.5) + slope * (value - q50))))
