"""The differential gate: how far a candidate is from its own baseline, beyond what the same traffic
does to the stable encoder.

Two encoders have two spaces, so their embeddings are never compared. Each is compared with its own
baseline, over the same inputs; what both see is the traffic's, what the candidate alone sees is its
own. On quiet blocks Tc is near to a + b Ts, where T = ||mu_w - mu_r||^2; the canary's excess is
Tc - (a + b Ts), judged by the residuals of those blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.errors import BaselineError
from lockstep_core.drift.sketch import Sketch, same_kind

LEAST_BLOCKS = 20


@dataclass(frozen=True)
class ResidualFit:
    """Tc ~ `intercept` + `slope` Ts over `blocks` blocks of `n` (their median) inputs; `q95` of
    their residuals left one out, and the `correlation` of Tc and Ts: near 0, nothing is gained."""

    intercept: float
    slope: float
    q95: float
    correlation: float
    blocks: int
    n: int

    def residual(self, candidate: float, stable: float) -> float:
        """Of squared distances T of one window, in their unit: MMD^2."""
        return candidate - (self.intercept + self.slope * stable)

    def exceeds(self, candidate: float, stable: float) -> bool:
        """Whether the residual is above that of 95 % of the quiet blocks."""
        return self.residual(candidate, stable) > self.q95

    def excess_ratio(self, candidate: float, stable: float, tolerance: float) -> float:
        """The root of the residual, at least 0, by the tolerance, an MMD."""
        excess = max(0.0, self.residual(candidate, stable))
        return float(np.sqrt(excess)) / tolerance


def squared_distance(sketch: Sketch, baseline: Baseline) -> float:
    """T = ||mu_w - mu_r||^2 of a window with n >= 1, with its offset of tr C (1/n + 1/N), which the
    intercept takes up: windows must be about as large as the blocks of the fit."""
    same_kind(sketch.features_digest, baseline.features_digest)
    difference = sketch.mean_phi - baseline.mean
    return float(difference @ difference)


def fit(candidate: Sequence[float], stable: Sequence[float], n: int) -> ResidualFit:
    """Least squares over the squared distances T of the two encoders in the same quiet blocks,
    which are of `n` inputs in the median.

    Raises BaselineError for fewer than 20 blocks, and for two sequences of other lengths. A slope
    below 0 has no cause in traffic, and is taken as 0.
    """
    tc, ts = np.asarray(candidate, dtype=np.float64), np.asarray(stable, dtype=np.float64)
    if tc.shape != ts.shape or tc.ndim != 1:
        raise BaselineError(
            f"residual: {tc.shape} distances of the candidate and {ts.shape} of the stable encoder;"
            " give both of the same blocks"
        )
    if len(tc) < LEAST_BLOCKS:
        raise BaselineError(
            f"residual: {len(tc)} blocks, fewer than {LEAST_BLOCKS}; mirror more traffic"
        )
    centred = ts - ts.mean()
    spread = float(centred @ centred)
    # Equal numbers differ from their mean by rounding.
    if spread <= 1e-20 * float(ts @ ts):
        spread = 0.0
    slope = max(0.0, float(centred @ tc) / spread) if spread > 0 else 0.0
    intercept = float(tc.mean() - slope * ts.mean())
    leverage = 1 / len(tc) + (centred**2 / spread if spread > 0 else 0.0)
    # A block pulls the line towards itself: left out, its residual is larger by 1/(1 - leverage).
    residuals = (tc - intercept - slope * ts) / np.maximum(1 - leverage, 1e-6)
    moves = spread > 0 and float(tc.std()) > 1e-10 * float(np.abs(tc).max())
    correlation = float(np.corrcoef(tc, ts)[0, 1]) if moves else 0.0
    q95 = float(np.quantile(residuals, 0.95, method="weibull"))
    return ResidualFit(intercept, slope, q95, correlation, len(tc), n)
