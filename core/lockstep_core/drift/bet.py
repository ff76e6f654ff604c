"""One bet: that the features of the coming embeddings lie further along a direction than the
baseline's do by more than the tolerance.

The payoff of an embedding y is h = phi(y).w - offset - epsilon with offset = mu_r.w. Where the mean
embedding of live traffic is within epsilon of the baseline's, E[h] <= 0 for every w of length 1
(Cauchy-Schwarz), so the product of 1 + lambda h is worth at most its stake in the mean. w and
lambda come from windows that were closed before the bet begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lockstep_core.drift import vectors
from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.sketch import BetSums
from lockstep_core.drift.vectors import Float32

# Of each bet at most half can be lost.
MAX_LOSS = 0.5


@dataclass(frozen=True, eq=False)
class Bet:
    """`key` says who asked; `witness` w float32 [D], of length at most 1; `stake` is lambda. Holds
    from window `from_window` on, until another of its key takes its place."""

    key: str
    role: str
    features_digest: str
    from_window: int
    witness: Float32
    offset: float
    epsilon: float
    stake: float

    def __post_init__(self) -> None:
        length = float(np.linalg.norm(self.witness.astype(np.float64)))
        if not length <= 1:
            raise DriftError(f"bet: `witness` has length {length}, above 1; ask for a bet again")
        if not 0 < self.epsilon < 2:
            raise DriftError(f"bet: `epsilon` {self.epsilon} is not above 0; raise the tolerance")
        if not abs(self.offset) <= 1.000001:
            raise DriftError(f"bet: `offset` {self.offset} is not within [-1, 1]")
        if not 0 <= self.stake <= self.limit * (1 + 1e-9):
            raise DriftError(
                f"bet: `lambda` {self.stake} is not within [0, {self.limit}], where no more than"
                " half can be lost; ask for a bet again"
            )

    @property
    def bound(self) -> float:
        """b: |h| is never more."""
        return 1 + abs(self.offset) + self.epsilon

    @property
    def limit(self) -> float:
        """The largest stake."""
        return MAX_LOSS / self.bound

    @cached_property
    def digest(self) -> str:
        return vectors.digest(
            {
                "key": self.key,
                "role": self.role,
                "features": self.features_digest,
                "fromWindow": self.from_window,
                "witness": vectors.encode(self.witness),
                "offset": self.offset,
                "epsilon": self.epsilon,
                "lambda": self.stake,
            }
        )

    def apply(self, waves: Float32, scale: float = 1.0) -> BetSums:
        """Sums over the payoffs of embeddings whose phi is scale * waves [n, D]."""
        h = scale * (waves @ self.witness).astype(np.float64) - (self.offset + self.epsilon)
        won = float(np.log1p(self.stake * h).sum())
        return BetSums(len(waves), float(h.sum()), float(h @ h), won)
