"""What a pod keeps of one window: embeddings come in batches, sums stay.

Not safe for several threads at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift.bet import Bet
from lockstep_core.drift.errors import MismatchError
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
    ) -> None:
        self.features, self.span, self.role = features, span, role
        self.bets = tuple(bets)
        for bet in self.bets:
            _check(bet, features, span, role)
        self._rng, self._unit_norm, self._spectrum = rng, unit_norm, spectrum
        self._capacity, self._counters = capacity, Counters()
        self._hashes: set[int] = set()
        self._keys = rng.integers(0, 2**64, features.dim, dtype=np.uint64)
        self._sum_waves, self._sum_unit = np.zeros(features.size), np.zeros(features.dim)
        self._norm = self._norm2 = 0.0
        self._rows = np.empty((0, features.dim), dtype=np.float32)
        self._seen = 0
        self._bet_sums = [BetSums() for _ in self.bets]

    def add(self, embeddings: NDArray[np.floating]) -> None:
        """Takes a batch [n, dim] in, best of 64 to 256. Never raises for what the embeddings hold:
        invalid ones are counted by their reason, repeats as duplicates, and distinct ones above
        the capacity as dropped."""
        with np.errstate(all="ignore"):
            batch = np.atleast_2d(np.asarray(embeddings, dtype=np.float32))
            if batch.ndim != 2 or batch.shape[1] != self.features.dim:
                self._count(Counters(len(batch), len(batch), invalid={Invalid.DIM: len(batch)}))
                return
            for start in range(0, len(batch), BATCH):
                self._take(np.ascontiguousarray(batch[start : start + BATCH]))

    def skipped(self, count: int) -> None:
        """So many embeddings were served and not sampled."""
        self._count(Counters(observed=count))

    def dropped(self, count: int) -> None:
        """So many were to be sampled, and a queue was full."""
        self._count(Counters(observed=count, dropped=count))

    def sketch(self) -> Sketch:
        """Of what came so far. The accumulator may go on."""
        return Sketch(
            self.features.digest,
            self.role,
            self.span,
            self._seen,
            self._sum_waves * self.features.scale,
            self._sum_unit.copy(),
            self._norm,
            self._norm2,
            self._counters,
            self._reservoir(),
            {
                (bet.key, bet.digest): sums
                for bet, sums in zip(self.bets, self._bet_sums, strict=True)
            },
        )

    def _count(self, counters: Counters) -> None:
        self._counters += counters

    def _take(self, batch: Float32) -> None:
        squares = np.einsum("ij,ij->i", batch, batch)
        valid, reasons = self._validate(batch, squares)
        fresh, repeats, dropped = self._distinct(batch, np.flatnonzero(valid))
        norms = np.sqrt(squares)
        # Most batches are used whole, and need no copy.
        x, norms = (batch, norms) if len(fresh) == len(batch) else (batch[fresh], norms[fresh])
        waves = self.features.waves(x)
        sums = np.ones(len(x), dtype=np.float32) @ waves
        if not np.isfinite(sums).all():
            # Only embeddings and weights that are huge come here: their product overflows.
            kept = np.isfinite(waves).all(axis=1)
            reasons[Invalid.NORM] = reasons.get(Invalid.NORM, 0) + int((~kept).sum())
            x, norms, waves = x[kept], norms[kept], waves[kept]
            sums = np.ones(len(x), dtype=np.float32) @ waves
        sampled = len(batch) - dropped
        self._count(Counters(len(batch), sampled, dropped, repeats, reasons))
        self._sum_waves += sums
        self._sum_unit += (1 / norms) @ x
        self._norm += float(norms.sum(dtype=np.float64))
        self._norm2 += float(norms.astype(np.float64) @ norms)
        for number, bet in enumerate(self.bets):
            self._bet_sums[number] += bet.apply(waves, self.features.scale)
        self._sample(x)

    def _validate(
        self, batch: Float32, squares: Float32
    ) -> tuple[NDArray[np.bool_], dict[Invalid, int]]:
        """Which rows are valid, and how many are not, by reason."""
        zero, finite = squares == 0, np.isfinite(squares)
        if self._unit_norm:
            long = finite & ~zero & (np.abs(np.sqrt(squares) - 1) > NORM_TOLERANCE)
            valid = finite & ~zero & ~long
        else:
            long, valid = np.zeros(len(batch), dtype=bool), finite & ~zero
        if valid.all():
            return valid, {}
        # Squares of finite numbers overflow where the numbers are huge.
        broken = ~finite & ~np.isfinite(batch).all(axis=1)
        counts = {
            Invalid.NAN: int(broken.sum()),
            Invalid.ZERO: int(zero.sum()),
            Invalid.NORM: int((long | (~finite & ~broken)).sum()),
        }
        return valid, {reason: count for reason, count in counts.items() if count}

    def _distinct(self, batch: Float32, rows: NDArray[np.intp]) -> tuple[list[int], int, int]:
        """Rows that the window did not have yet, and how many it had, and had no room for.

        The hash is the sum of the words of a row, each times a key drawn for the window, modulo
        2^64: two rows that differ collide with at most 2^-33 (Dietzfelbinger 1996)."""
        hashes = (batch.view(np.uint32) @ self._keys).tolist()
        fresh: list[int] = []
        repeats = dropped = 0
        for row in rows.tolist():
            if hashes[row] in self._hashes:
                repeats += 1
            elif len(self._hashes) >= self._capacity:
                dropped += 1
            else:
                self._hashes.add(hashes[row])
                fresh.append(row)
        return fresh, repeats, dropped

    def _sample(self, x: Float32) -> None:
        """Each embedding of the window is in the sample with the same chance (Vitter 1985, R)."""
        room = max(0, min(FULL - len(self._rows), len(x)))
        if room:
            self._rows = np.concatenate([self._rows, x[:room]])
        places = self._rng.integers(0, np.arange(self._seen + room, self._seen + len(x)) + 1)
        for row in np.flatnonzero(places < FULL).tolist():
            self._rows[places[row]] = x[room + row]
        self._seen += len(x)

    def _reservoir(self) -> ReservoirSums:
        rows = self._rows.astype(np.float64)
        units = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
        return measure(units, self.features(self._rows) if self._spectrum else None)


def _check(bet: Bet, features: Features, span: Span, role: str) -> None:
    """Raises MismatchError for a bet of other features, another role, or of later windows."""
    if bet.features_digest != features.digest:
        raise MismatchError(
            "features digest", bet.features_digest, features.digest, "ask for a bet of this release"
        )
    if bet.role != role:
        raise MismatchError("role", bet.role, role, "give each role its own bets")
    if bet.from_window > span.first:
        raise MismatchError(
            "window", bet.from_window, span.first, "a bet holds from its first window on"
        )
