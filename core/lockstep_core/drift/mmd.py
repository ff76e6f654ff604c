"""Maximum mean discrepancy between a window and a baseline, from their sketches."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.sketch import Sketch
from lockstep_core.quality.verdicts import Verdict


@dataclass(frozen=True)
class Distance:
    """`n` embeddings against the baseline. `squared`: unbiased MMD^2, which may be negative; `mmd`:
    the root of its positive part, in 0 to 1.41; `lower` and `upper`: 95 % interval of MMD;
    `statistic`: S = ||mu_w - mu_r||^2 / (1/n + 1/N); `p_value`, for a dashboard alone;
    `detectable`: the least MMD that a window of n shows with 80 %."""

    n: int
    squared: float
    mmd: float
    lower: float
    upper: float
    statistic: float
    p_value: float
    detectable: float


def distance(sketch: Sketch, baseline: Baseline, min_samples: int) -> Distance | None:
    """None where there are fewer than `min_samples` (and 2): absent, neither 0 nor NaN."""
    raise NotImplementedError


def judge(found: Distance | None, tolerance: float) -> Verdict:
    """Pass: the upper bound is within; Fail: the lower one is above; else, and for None,
    Inconclusive."""
    raise NotImplementedError


def min_detectable(n: int, baseline: Baseline) -> float:
    raise NotImplementedError
