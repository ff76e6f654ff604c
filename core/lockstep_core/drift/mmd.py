"""Maximum mean discrepancy between a window and a baseline, from their sketches.

With ||phi|| = 1 the unbiased estimate (Gretton et al. 2012, eq. 3) needs means and counts alone:
Tu = (n||mu_w||^2 - 1)/(n-1) + (N||mu_r||^2 - 1)/(N-1) - 2 mu_w.mu_r. Its mean is 0 without drift,
at every n; it may be negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.null import p_value, tail_p_value
from lockstep_core.drift.sketch import Sketch, same_kind
from lockstep_core.drift.vectors import Float64
from lockstep_core.quality.verdicts import Judgement, Verdict, Why

# Two-sided 95 %.
Z95 = 1.959964
# The sum of the normal quantiles of level 95 % and power 80 %.
LEVEL_AND_POWER = 2.486


@dataclass(frozen=True)
class Distance:
    """Of `n` embeddings to the baseline. `squared`: MMD^2 without bias, which may be negative;
    `mmd`: the root of its positive part, 0 to 1.41; `lower` and `upper`: the 95 % interval of MMD;
    `statistic`: S (`null`); `p_value`: of S and, if it is known how time blocks vary, of that, the
    larger one, for a dashboard alone: benign traffic has small ones; `detectable`: see
    `min_detectable`."""

    n: int
    squared: float
    mmd: float
    lower: float
    upper: float
    statistic: float
    p_value: float
    detectable: float


def unbiased(one: Float64, n: int, other: Float64, m: int) -> float:
    """MMD^2 of the means [D] of features of n and of m embeddings, both at least 2."""
    within = (n * float(one @ one) - 1) / (n - 1) + (m * float(other @ other) - 1) / (m - 1)
    return within - 2 * float(one @ other)


def distance(sketch: Sketch, baseline: Baseline, min_samples: int) -> Distance | None:
    """None where there are fewer than `min_samples`, or 2: absent is neither 0 nor NaN.

    Raises MismatchError for a sketch of other features than the baseline's.
    """
    same_kind(sketch.features_digest, baseline.features_digest)
    n = sketch.n
    if n < max(2, min_samples):
        return None
    mean = sketch.mean_phi
    difference = mean - baseline.mean
    h = 1 / n + 1 / baseline.n
    squared = unbiased(mean, n, baseline.mean, baseline.n)
    statistic = float(difference @ difference) / h
    p = p_value(statistic, baseline.quantiles)
    if baseline.blocks is not None:
        p = max(p, tail_p_value(squared, baseline.blocks.q50, baseline.blocks.q95))
    half = Z95 * standard_error(squared, n, baseline)
    return Distance(
        n,
        squared,
        _root(squared),
        _root(squared - half),
        _root(squared + half),
        statistic,
        p,
        min_detectable(n, baseline),
    )


def standard_error(squared: float, n: int, baseline: Baseline) -> float:
    """Of Tu: sqrt(2 tr C^2 h^2 + 4 max(Tu, 0) lambda1 h), h = 1/n + 1/N. The first term is that of
    the null, the second bounds the linear part under drift. Covers less than it says where more
    than a tenth of the traffic is foreign, far above any tolerance."""
    h = 1 / n + 1 / baseline.n
    return math.sqrt(2 * baseline.trace2 * h**2 + 4 * max(squared, 0.0) * baseline.lambda1 * h)


def min_detectable(n: int, baseline: Baseline) -> float:
    """The MMD that a window of n shows at level 5 % with 80 % power, sqrt(2.5 sqrt(2 tr C^2) h).
    Less than this goes unseen in a single window."""
    h = 1 / n + 1 / baseline.n
    return math.sqrt(LEVEL_AND_POWER * math.sqrt(2 * baseline.trace2) * h)


def judge(found: Distance | None, tolerance: float, n: int = 0) -> Judgement:
    """Is the MMD at most `tolerance`? Pass: the upper bound is within it; Fail: the lower one is
    above; else Inconclusive. Of no distance, for which `n` embeddings were too few, Inconclusive
    too: no data never passes."""
    if found is None:
        why = Why.TOO_FEW_SAMPLES if n else Why.NO_DATA
        return Judgement(Verdict.INCONCLUSIVE, None, 0.0, math.sqrt(2), tolerance, n, why)
    verdict, why = Verdict.INCONCLUSIVE, Why.INTERVAL_SPANS_BOUND
    if found.upper <= tolerance:
        verdict, why = Verdict.PASS, Why.UPPER_BOUND_WITHIN
    elif found.lower > tolerance:
        verdict, why = Verdict.FAIL, Why.LOWER_BOUND_ABOVE
    return Judgement(verdict, found.mmd, found.lower, found.upper, tolerance, found.n, why)


def _root(squared: float) -> float:
    return math.sqrt(max(0.0, squared))
