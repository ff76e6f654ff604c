"""Gauges of the shape of a window's embeddings. They see a collapse, which MMD misses.

- mean cosine E[x.y] of unit vectors: a collapse raises it; 1 minus it is the total variance
- participation ratio 1 / E[(x.y)^2]: over how many directions energy is spread
- effective rank: exp of the entropy of the covariance's eigenvalues
- mean and standard deviation of ||x||

The first two are without bias at any n; the rank depends on n, so it is of full samples alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift.reservoir import FULL, ReservoirSums, measure
from lockstep_core.drift.sketch import Sketch
from lockstep_core.drift.vectors import Float64

# Windows in a row outside of its band make a violation.
IN_A_ROW = 3
LEAST = 100
Z99 = 2.3263
# What float32 can differ by, relative to 1 or to the gauge.
ROUNDING = 1e-4


class Gauge(StrEnum):
    MEAN_COSINE = "meanCosine"
    PARTICIPATION_RATIO = "participationRatio"
    EFFECTIVE_RANK = "effectiveRank"
    NORM_MEAN = "normMean"
    NORM_DEVIATION = "normDeviation"


class Gauges(dict[Gauge, float]):
    """The gauges that a window of `n` embeddings has."""

    def __init__(self, n: int, values: Mapping[Gauge, float]) -> None:
        super().__init__(values)
        self.n = n


@dataclass(frozen=True)
class Bands:
    """The least and the most of each gauge that 98 % of quiet windows of `n` stay within. Smaller
    windows vary more, by the root, and are given as much more; the effective rank is always of
    512."""

    bands: Mapping[Gauge, tuple[float, float]]
    n: int = FULL

    def outside(self, gauges: Gauges) -> tuple[Gauge, ...]:
        """Of the gauges that a window has, those outside of their band."""
        wider = max(1.0, float(np.sqrt(self.n / max(1, gauges.n))))
        found = []
        for gauge, value in gauges.items():
            if gauge in self.bands:
                low, high = self.bands[gauge]
                factor = 1.0 if gauge is Gauge.EFFECTIVE_RANK else wider
                if abs(value - (low + high) / 2) > factor * (high - low) / 2:
                    found.append(gauge)
        return tuple(found)


def read(sketch: Sketch) -> Gauges:
    """The gauges of a sketch: none below 100 embeddings, and no effective rank where no pod had 512
    itself."""
    return _gauges(sketch.n, sketch.sum_unit, sketch.sum_norm, sketch.sum_norm2, sketch.reservoir)


def _gauges(
    n: int, sum_unit: Float64, sum_norm: float, sum_norm2: float, reservoir: ReservoirSums
) -> Gauges:
    if n < LEAST:
        return Gauges(n, {})
    cosine = (float(sum_unit @ sum_unit) - n) / (n * (n - 1))
    mean = sum_norm / n
    variance = max(0.0, sum_norm2 / n - mean**2) * n / (n - 1)
    gauges = {Gauge.MEAN_COSINE: cosine}
    if 2 * reservoir.rows >= min(n, FULL) and reservoir.cosine2 > 0:
        gauges[Gauge.PARTICIPATION_RATIO] = reservoir.pairs / reservoir.cosine2
    if reservoir.full:
        gauges[Gauge.EFFECTIVE_RANK] = reservoir.rank / reservoir.full
    gauges[Gauge.NORM_MEAN], gauges[Gauge.NORM_DEVIATION] = mean, float(np.sqrt(variance))
    return Gauges(n, gauges)


def of_rows(embeddings: NDArray[np.floating]) -> Gauges:
    """The gauges of embeddings [n, dim] themselves. Rows of zeros have no direction: leave them
    out first."""
    x = np.asarray(embeddings, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1)
    units = x / norms[:, None]
    sums = units.sum(axis=0), float(norms.sum()), float(norms @ norms)
    return _gauges(len(x), *sums, measure(units))


def total_variance(gauges: Mapping[Gauge, float]) -> float | None:
    """E ||x - E x||^2 of unit vectors, 1 - mean cosine."""
    cosine = gauges.get(Gauge.MEAN_COSINE)
    return None if cosine is None else 1 - cosine


def bands_of(windows: Iterable[Gauges]) -> Bands | None:
    """Bands from the gauges of quiet windows: the range that one more window stays within with
    98 %, as if the gauges were normal. None from fewer than three windows that have any."""
    found = [window for window in windows if window]
    bands = {}
    for gauge in Gauge:
        values = [window[gauge] for window in found if gauge in window]
        if len(values) >= IN_A_ROW:
            bands[gauge] = _band(values)
    if not bands:
        return None
    return Bands(bands, int(np.median([window.n for window in found])))


def _band(values: Sequence[float]) -> tuple[float, float]:
    """mean +- t s sqrt(1 + 1/k), the interval of prediction of k values, with the quantile of
    Student's t from that of the normal (Abramowitz & Stegun 26.7.5)."""
    count = len(values)
    z, degrees = Z99, count - 1
    t = z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = t * spread * float(np.sqrt(1 + 1 / count)) + ROUNDING * max(1.0, abs(mean))
    return mean - half, mean + half


@dataclass(frozen=True)
class GeometryState:
    """Windows in a row that each gauge was outside of its band."""

    outside: Mapping[Gauge, int] = field(default_factory=dict)

    @property
    def violations(self) -> tuple[Gauge, ...]:
        """Gauges that were outside in three windows in a row."""
        return tuple(gauge for gauge, count in self.outside.items() if count >= IN_A_ROW)


def step(state: GeometryState, gauges: Gauges, bands: Bands) -> GeometryState:
    """After one more window. A gauge that the window has not keeps its count: no data is neither
    a violation nor a sign of health."""
    outside = bands.outside(gauges)
    counts = {
        gauge: state.outside.get(gauge, 0) + 1 if gauge in outside else 0
        for gauge in gauges
        if gauge in bands.bands
    }
    kept = {gauge: count for gauge, count in state.outside.items() if gauge not in gauges}
    return GeometryState({gauge: count for gauge, count in (kept | counts).items() if count})
