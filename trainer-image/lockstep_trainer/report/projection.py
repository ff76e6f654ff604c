"""Held-out embeddings in the plane."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Strings
from lockstep_trainer.evaluation import Floats

MAX_POINTS = 1200
FIT_ROWS = 20_000
SIZE, EDGE = 400, 10
HUE = 137.508
"""The golden angle: neighbours in the order of labels get hues far apart."""


def principal_plane(embeddings: Floats, *, seed: int = 0) -> tuple[NDArray[np.float64], float]:
    """Coordinates [N, 2] on the first two principal components, and the share of the variance that
    they keep (Pearson 1901). Components are of at most `FIT_ROWS` seeded rows; each points to where
    its largest weight is positive, so that a picture is the same every time."""
    rows = np.arange(len(embeddings))
    if len(rows) > FIT_ROWS:
        rows = np.random.default_rng((seed, 5)).choice(rows, FIT_ROWS, replace=False)
    fitted = embeddings[rows].astype(np.float64)
    mean = fitted.mean(axis=0)
    fitted -= mean
    values, vectors = np.linalg.eigh(fitted.T @ fitted)
    plane = vectors[:, ::-1][:, :2]
    largest = np.abs(plane).argmax(axis=0)
    plane = plane * np.where(plane[largest, range(plane.shape[1])] < 0, -1.0, 1.0)
    total = float(np.maximum(values, 0).sum())
    kept = float(np.maximum(values[::-1][:2], 0).sum()) / total if total > 0 else 0.0
    return (embeddings - mean) @ plane, kept


def shown_rows(labels: Strings, *, seed: int = 0) -> NDArray[np.int64]:
    """Rows of whole classes in random order, at most `MAX_POINTS`; of one huge class the first."""
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.random.default_rng((seed, 6)).permutation(len(sizes))
    enough = int(np.searchsorted(sizes[order].cumsum(), MAX_POINTS, side="right"))
    return np.flatnonzero(np.isin(codes, order[: max(1, enough)]))[:MAX_POINTS]


def scatter(points: NDArray[np.float64], labels: Strings, ids: Strings) -> str:
    """An SVG of `points` [N, 2]: one colour a class, both axes in one scale."""
    names, codes = np.unique(labels, return_inverse=True)
    low, high = points.min(axis=0), points.max(axis=0)
    span = float((high - low).max()) or 1.0
    placed = (points - (low + high) / 2) / span * (SIZE - 2 * EDGE) + SIZE / 2
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{SIZE - y:.1f}" r="3.4" fill="hsl({code * HUE % 360:.0f}'
        f' 62% 52%)" data-c="{code}"><title>{escape(label)} ({escape(own)})</title></circle>'
        for (x, y), code, label, own in zip(placed, codes, labels, ids, strict=True)
    )
    title = f"{len(points)} items of {len(names)} classes in the plane of most variance"
    return (
        f'<svg id="plane" viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="{title}">{dots}</svg>'
    )
