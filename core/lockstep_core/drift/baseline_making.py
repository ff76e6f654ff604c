"""Makes baselines: of held-out embeddings, or of sketches of live traffic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift import geometry
from lockstep_core.drift.baseline import Baseline, BlockNull, Source
from lockstep_core.drift.errors import BaselineError, MismatchError
from lockstep_core.drift.features import Features
from lockstep_core.drift.mmd import unbiased
from lockstep_core.drift.null import quantile_table
from lockstep_core.drift.reservoir import FULL
from lockstep_core.drift.sketch import Sketch, same_kind
from lockstep_core.drift.vectors import Float32, Float64

LEAST = 2_000
LEAST_BLOCKS = 6
LARGEST = 64
SUBSETS = 32
_ROWS = 2_048


def from_embeddings(
    embeddings: NDArray[np.floating],
    features: Features,
    rng: np.random.Generator,
    *,
    role: str = "Query",
    blocks: NDArray[np.integer] | None = None,
    least: int = LEAST,
) -> Baseline:
    """Of embeddings [n, dim], repeats left out. `blocks` [n]: the number of the time block of each
    row, where they are of recorded traffic: repeats are left out within a block, and six blocks
    or more calibrate the tolerance. Without blocks it covers sampling error alone.

    Raises BaselineError for another dim, numbers that are not finite, and fewer distinct rows.
    """
    x, labels = _distinct(embeddings, features.dim, blocks)
    if len(x) < least:
        raise BaselineError(
            f"baseline: {len(x)} distinct embeddings, fewer than {least}; give more of them"
        )
    moment, sums, counts = _moments(x, features, labels)
    n, mean = len(x), sums.sum(axis=0) / len(x)
    covariance = (moment - n * np.outer(mean, mean)) / (n - 1)
    values = np.clip(np.linalg.eigvalsh(covariance)[::-1], 0.0, None)
    trace = float(values.sum())
    # tr S^2 exceeds tr C^2 by (tr C)^2 / n to first order.
    trace2 = _at_least_possible(float(values @ values) - trace**2 / n, trace, features.size)
    return Baseline(
        Source.HELD_OUT,
        role,
        features.digest,
        mean,
        n,
        trace,
        trace2,
        float(values[0]),
        quantile_table(values[:LARGEST], trace, trace2, rng),
        None if blocks is None else _block_null(sums, counts),
        _bands(x, labels if blocks is not None else None, rng),
    )


def from_windows(
    sketches: Sequence[Sketch], rng: np.random.Generator, *, least: int = LEAST
) -> Baseline:
    """Of the merged sketches of the first windows of live traffic: no embedding is kept anywhere.

    - mu_r and N are sums. tr C = (1 - ||mu_r||^2) N/(N-1), because ||phi|| = 1.
    - tr C^2 and the largest eigenvalues cannot come from the windows' means: what windows differ by
      from hour to hour would pass for sampling error, and only at that n (half again too large
      where the mix of topics wobbles mildly). They come from within the windows: each pod measures
      them on its sample of at most 512 embeddings (`reservoir`), and the sketch carries their sums.
      Where no pod had 512 in a window, lambda1 is its upper bound sqrt(tr C^2), which makes
      intervals wider, never narrower.
    - how windows vary (`blocks`) comes from the distance of each to all the others.

    Raises MismatchError for sketches of other features or roles, or of one span, and BaselineError
    for fewer than six windows that have any data, fewer than `least` embeddings, and for sketches
    without a spectrum.
    """
    many = [sketch for sketch in sketches if sketch.n > 1]
    _check(many, least)
    n = sum(sketch.n for sketch in many)
    sums = np.stack([sketch.sum_phi for sketch in many])
    counts = np.array([sketch.n for sketch in many])
    mean = sums.sum(axis=0) / n
    trace = max(1e-12, (1 - float(mean @ mean)) * n / (n - 1))
    trace2, largest = _within(many, trace)
    return Baseline(
        Source.TRAFFIC,
        many[0].role,
        many[0].features_digest,
        mean,
        n,
        trace,
        trace2,
        float(largest[0]),
        quantile_table(largest, trace, trace2, rng),
        _block_null(sums, counts),
        geometry.bands_of(geometry.read(sketch) for sketch in many),
    )


def _within(sketches: Sequence[Sketch], trace: float) -> tuple[float, Float64]:
    """tr C^2 and the largest eigenvalues, as the samples of the pods have them."""
    held = reduce(add, (sketch.reservoir for sketch in sketches))
    size = len(sketches[0].sum_phi)
    trace2 = _at_least_possible(held.trace2 / held.spectrum_rows, trace, size)
    if not held.full_spectra:
        return trace2, np.array([np.sqrt(trace2)])
    largest: Float64 = held.eigenvalues / held.full_spectra
    return trace2, largest


def _check(sketches: Sequence[Sketch], least: int) -> None:
    if len(sketches) < LEAST_BLOCKS:
        raise BaselineError(
            f"baseline: {len(sketches)} windows with data, fewer than {LEAST_BLOCKS}; collect more"
        )
    first = sketches[0]
    for sketch in sketches[1:]:
        same_kind(first.features_digest, sketch.features_digest)
        if sketch.role != first.role:
            raise MismatchError("role", first.role, sketch.role, "give each role its baseline")
    spans = [sketch.span for sketch in sketches]
    if len(set(spans)) < len(spans):
        twice = next(span for span in spans if spans.count(span) > 1)
        raise MismatchError("span", twice, twice, "merge the sketches of one window first")
    if (n := sum(sketch.n for sketch in sketches)) < least:
        raise BaselineError(f"baseline: {n} embeddings, fewer than {least}; collect more windows")
    if not any(sketch.reservoir.spectrum_rows for sketch in sketches):
        raise BaselineError("baseline: no sketch has a spectrum; let pods measure it")


def _at_least_possible(trace2: float, trace: float, size: int) -> float:
    """An estimate without bias may be too small by chance: (tr C)^2 <= D tr C^2 always."""
    return max(trace2, trace**2 / size)


def _distinct(
    embeddings: NDArray[np.floating], dim: int, blocks: NDArray[np.integer] | None
) -> tuple[Float32, NDArray[np.intp]]:
    """Distinct rows within their blocks, in their order, and the number 0, 1, ... of each's."""
    x = np.ascontiguousarray(embeddings, dtype=np.float32)
    if x.ndim != 2 or x.shape[1] != dim:
        raise BaselineError(f"baseline: embeddings are {list(x.shape)}, not [n, {dim}]")
    if not np.isfinite(x).all():
        raise BaselineError("baseline: embeddings are not all finite; leave those rows out")
    labels = np.zeros(len(x), dtype=np.intp)
    if blocks is not None:
        if np.shape(blocks) != (len(x),):
            raise BaselineError(
                f"baseline: `blocks` is {list(np.shape(blocks))}, not [{len(x)}]: one number a row"
            )
        labels = np.unique(blocks, return_inverse=True)[1].astype(np.intp)
    seen: set[tuple[int, bytes]] = set()
    kept = []
    for row, label in enumerate(labels.tolist()):
        if (key := (label, x[row].tobytes())) not in seen:
            seen.add(key)
            kept.append(row)
    return x[kept], labels[kept]


def _moments(
    x: Float32, features: Features, labels: NDArray[np.intp]
) -> tuple[Float64, Float64, NDArray[np.intp]]:
    """sum phi phi' [D, D], sum phi by block [blocks, D], and embeddings by block."""
    blocks = int(labels.max()) + 1
    moment = np.zeros((features.size, features.size))
    sums = np.zeros((blocks, features.size))
    for start in range(0, len(x), _ROWS):
        phi, part = features(x[start : start + _ROWS]), labels[start : start + _ROWS]
        moment += phi.T @ phi
        for label in np.unique(part).tolist():
            sums[label] += phi[part == label].sum(axis=0, dtype=np.float64)
    return moment, sums, np.bincount(labels, minlength=blocks)


def _block_null(sums: Float64, counts: NDArray[np.integer]) -> BlockNull | None:
    """None of fewer than six blocks. Quantiles at i/(k+1), which few blocks do not make too small
    in the mean."""
    kept = counts > 1
    sums, counts = sums[kept], counts[kept]
    if len(counts) < LEAST_BLOCKS:
        return None
    total, n = sums.sum(axis=0), int(counts.sum())
    distances = [
        unbiased(part / size, size, (total - part) / (n - size), n - size)
        for part, size in zip(sums, counts.tolist(), strict=True)
    ]
    q50, q95, q99 = np.quantile(distances, (0.5, 0.95, 0.99), method="weibull").tolist()
    return BlockNull(len(counts), int(np.median(counts)), q50, q95, q99)


def _bands(
    x: Float32, labels: NDArray[np.intp] | None, rng: np.random.Generator
) -> geometry.Bands | None:
    """Of blocks of 512 and more, where there are enough, else of random subsets of 512."""
    if labels is not None:
        whole = [np.flatnonzero(labels == label)[:FULL] for label in range(labels.max() + 1)]
        samples = [rows for rows in whole if len(rows) == FULL][:SUBSETS]
        if len(samples) >= LEAST_BLOCKS:
            return geometry.bands_of(geometry.of_rows(x[rows]) for rows in samples)
    if len(x) < 2 * FULL:
        return None
    subsets = (rng.choice(len(x), FULL, replace=False) for _ in range(SUBSETS))
    return geometry.bands_of(geometry.of_rows(x[rows]) for rows in subsets)
