"""What a release embedded in some windows, beside its own held-out baseline: numbers for a gate.

The error of a gauge is from the band of its baseline: what quiet samples of `Bands.n` vary by, for
as many embeddings as the gauge is of, with the error of the baseline's own gauge. It is of sampling
alone: what traffic does to a gauge is for the reader to tell apart, who has another release beside.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lockstep_core.drift import geometry
from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.geometry import Z99, Bands, Gauge
from lockstep_core.drift.mmd import distance, standard_error
from lockstep_core.drift.reservoir import FULL
from lockstep_core.drift.sketch import Sketch, join, same_kind
from lockstep_core.protocol.drift import Embedded, Shape, SquaredDistance

SPREAD = "spread"
"""1 - mean cosine, the total variance of unit vectors: as a share of what it was it has a meaning,
which a mean cosine near 0 has not."""


def embedded(release: str, sketches: Iterable[Sketch], baseline: Baseline) -> Embedded:
    """Of the merged sketches of windows, one each, of one role.

    Raises MismatchError for sketches of other features than the baseline's, or of one window.
    """
    many = list(sketches)
    if not many:
        return Embedded(release)
    whole = join(many)
    same_kind(whole.features_digest, baseline.features_digest)
    counters = whole.counters
    return Embedded(
        release,
        whole.n,
        counters.sampled,
        {str(reason): count for reason, count in counters.invalid.items()},
        shapes(whole, baseline),
        _distance(whole, baseline),
    )


def shapes(sketch: Sketch, baseline: Baseline) -> dict[str, Shape]:
    """The gauges that both have: `spread`, `participationRatio`, `effectiveRank`, `normMean`."""
    bands = baseline.geometry
    if bands is None:
        return {}
    samples = {
        Gauge.MEAN_COSINE: sketch.n,
        Gauge.PARTICIPATION_RATIO: sketch.reservoir.rows,
        Gauge.EFFECTIVE_RANK: FULL * sketch.reservoir.full,
        Gauge.NORM_MEAN: sketch.n,
    }
    found = {}
    for gauge, value in geometry.read(sketch).items():
        if gauge in bands.bands and samples.get(gauge):
            name = SPREAD if gauge is Gauge.MEAN_COSINE else str(gauge)
            shape = _shape(gauge, value, bands, samples[gauge], baseline.n)
            if shape is not None:
                found[name] = shape
    return found


def _shape(gauge: Gauge, value: float, bands: Bands, samples: int, held_out: int) -> Shape | None:
    """None where the baseline's own gauge is 0: nothing is a share of that."""
    low, high = bands.bands[gauge]
    middle, deviation = (low + high) / 2, (high - low) / 2 / Z99
    if gauge is Gauge.MEAN_COSINE:
        value, middle = 1 - value, 1 - middle
    if middle <= deviation:
        return None
    error = deviation / middle * float(np.sqrt(bands.n / samples + bands.n / held_out))
    return Shape(value, middle, error)


def _distance(sketch: Sketch, baseline: Baseline) -> SquaredDistance | None:
    found = distance(sketch, baseline, 2)
    if found is None:
        return None
    error = standard_error(found.squared, found.n, baseline)
    return SquaredDistance(found.squared, error, baseline.lambda1)
