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
Z99 = 2.3263
# What float32 can differ by, relative to 1 or to the gauge.
ROUNDING = 1e-4


class Gauge(StrEnum):
    MEAN_COSINE = "meanCosine"
    PARTICIPATION_RATIO = "participationRatio"
    EFFECTIVE_RANK = "effectiveRank"
    NORM_MEAN = "normMean"
    NORM_DEVIATION = "normDeviation"


@dataclass(frozen=True)
class Bands:
    """The least and the most of each gauge that 98 % of quiet windows of 512 stay within. Larger
    windows vary less."""

    bands: Mapping[Gauge, tuple[float, float]]

    def outside(self, gauges: Mapping[Gauge, float]) -> tuple[Gauge, ...]:
        """Of the gauges that a window has, those outside of their band."""
        return tuple(
            gauge
            for gauge, value in gauges.items()
            if gauge in self.bands and not self.bands[gauge][0] <= value <= self.bands[gauge][1]
        )


def read(sketch: Sketch) -> dict[Gauge, float]:
    """The gauges of a sketch: none below 512 embeddings, and no effective rank where no pod had so
    many itself."""
    return _gauges(sketch.n, sketch.sum_unit, sketch.sum_norm, sketch.sum_norm2, sketch.reservoir)


def _gauges(
    n: int, sum_unit: Float64, sum_norm: float, sum_norm2: float, reservoir: ReservoirSums
) -> dict[Gauge, float]:
    if n < FULL:
        return {}
    cosine = (float(sum_unit @ sum_unit) - n) / (n * (n - 1))
    mean = sum_norm / n
    variance = max(0.0, sum_norm2 / n - mean**2) * n / (n - 1)
    gauges = {Gauge.MEAN_COSINE: cosine}
    if reservoir.rows >= FULL and reservoir.cosine2 > 0:
        gauges[Gauge.PARTICIPATION_RATIO] = reservoir.pairs / reservoir.cosine2
    if reservoir.full:
        gauges[Gauge.EFFECTIVE_RANK] = reservoir.rank / reservoir.full
    return gauges | {Gauge.NORM_MEAN: mean, Gauge.NORM_DEVIATION: float(np.sqrt(variance))}


def of_rows(embeddings: NDArray[np.floating]) -> dict[Gauge, float]:
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


def bands_of(windows: Iterable[Mapping[Gauge, float]]) -> Bands | None:
    """Bands from the gauges of quiet windows: the range that one more window stays within with
    98 %, as if the gauges were normal. None from fewer than three windows that have any."""
    found = [window for window in windows if window]
    bands = {}
    for gauge in Gauge:
        values = [window[gauge] for window in found if gauge in window]
        if len(values) >= IN_A_ROW:
            bands[gauge] = _band(values)
    return Bands(bands) if bands else None


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


def step(state: GeometryState, gauges: Mapping[Gauge, float], bands: Bands) -> GeometryState:
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
