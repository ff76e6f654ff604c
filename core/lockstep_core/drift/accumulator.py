"""What a pod keeps of one window: embeddings come in batches, sums stay.

Not safe for several threads at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift.bet import Bet
from lockstep_core.drift.features import Features
from lockstep_core.drift.reservoir import FULL, ReservoirSums, measure
from lockstep_core.drift.sketch import BetSums, Counters, Invalid, Sketch, Span
from lockstep_core.drift.vectors import Float32

# Hashes of a window are held in memory: 8 bytes and a set's overhead for each of these.
CAPACITY = 131_072
BATCH = 256
# float16 encoders are within .001 of length 1.
NORM_TOLERANCE = 0.01


def window_of(unix: float, seconds: int) -> int:
    """The number of the window that holds a moment, floor(unix / seconds)."""
    return int(unix // seconds)


class Accumulator:
    """Sums of one window of one role.

    `unit_norm`: the encoder normalises, so that other lengths than 1 are invalid. `rng` chooses the
    rows of the sample. `spectrum`: the sketch also holds the spectrum of the covariance of phi,
    which a baseline is made from; it costs a decomposition when the window closes. `bets` are of
    windows that had closed before this one began: one that begins later is refused.
    """

    def __init__(
        self,
        features: Features,
        span: Span,
        rng: np.random.Generator,
        *,
        role: str = "Query",
        unit_norm: bool = True,
        bets: Iterable[Bet] = (),
        spectrum: bool = True,
        capacity: int = CAPACITY,
    ) -> None: ...

    def add(self, embeddings: NDArray[np.floating]) -> None:
        """Takes a batch [n, dim] in. Never raises for what the embeddings hold: invalid ones are
        counted by their reason, repeats as duplicates, and those above the capacity as dropped."""

    def skipped(self, count: int) -> None:
        """So many embeddings were served and not sampled."""

    def dropped(self, count: int) -> None:
        """So many were to be sampled, and a queue was full."""

    def sketch(self) -> Sketch:
        """Of what came so far. The accumulator may go on."""
        raise NotImplementedError
