"""Sketches of windows, by an accumulator or by sums alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lockstep_core.drift.accumulator import Accumulator
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.features import Features
from lockstep_core.drift.sketch import Sketch, Span
from lockstep_core.drift.vectors import Float32
from tests.unit.core.drift.world import Rows

SECONDS = 300


def accumulated(
    features: Features,
    batches: Iterable[Rows],
    window: int = 0,
    *,
    seed: int = 0,
    bets: Iterable[Bet] = (),
    spectrum: bool = False,
) -> Sketch:
    """As a pod makes it."""
    rng, span = np.random.default_rng(seed), Span(window, SECONDS)
    pod = Accumulator(features, span, rng, bets=bets, spectrum=spectrum)
    for batch in batches:
        pod.add(batch)
    return pod.sketch()


def summed(digest: str, phi: Float32, window: int = 0, bets: Iterable[Bet | None] = ()) -> Sketch:
    """Of features [n, D] that were computed before: no unit vectors, no reservoir."""
    held = {(bet.key, bet.digest): bet.apply(phi) for bet in bets if bet}
    sums = phi.sum(axis=0, dtype=np.float64)
    return Sketch(digest, "Query", Span(window, SECONDS), len(phi), sums, np.zeros(1), bets=held)


def means(features: Features, x: Rows, n: int) -> Float32:
    """Sums of phi float64 [windows, D] of windows of n, one after the other."""
    count = len(x) // n
    sums = np.empty((count, features.size))
    for start in range(0, count, max(1, 2048 // n)):
        stop = min(count, start + max(1, 2048 // n))
        phi = features(x[start * n : stop * n])
        sums[start:stop] = phi.reshape(stop - start, n, -1).sum(axis=1, dtype=np.float64)
    return sums  # type: ignore[return-value]
