"""Batches of P classes x K items, the composition that triplets need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class PKSampler:
    """Draws batches of `classes` x `per_class` rows; the same seed gives the same batches.

    Classes come in rounds: each round is a fresh permutation, cut into batches; what is left over
    (fewer than P classes) waits for the next round. Items of a class are drawn without
    replacement, or, where the class has fewer than K, each of them as evenly as K allows. A class
    of one item has no positive pair, so it is not drawn.

    A batch depends on the seed and its number alone.
    """

    def __init__(
        self, labels: Sequence[str] | NDArray[np.str_], *, classes: int, per_class: int, seed: int
    ) -> None:
        _, codes, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
        by_class = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
        self._rows: list[Rows] = [rows.astype(np.int64) for rows in by_class if len(rows) > 1]
        if len(self._rows) < classes:
            raise ValueError(
                f"batch.classes is {classes}, but only {len(self._rows)} classes have two or more"
                f" items; lower batch.classes to {len(self._rows)} or add data"
            )
        self.classes, self.per_class, self.seed = classes, per_class, seed
        self.step = 0

    def __next__(self) -> Rows:
        """Rows of the next batch, int64 [P x K], items of a class side by side."""
        per_round = len(self._rows) // self.classes
        round_number, place = divmod(self.step, per_round)
        order = np.random.default_rng((self.seed, 0, round_number)).permutation(len(self._rows))
        chosen = order[place * self.classes : (place + 1) * self.classes]
        generator = np.random.default_rng((self.seed, 1, self.step))
        self.step += 1
        return np.concatenate([self._items(self._rows[code], generator) for code in chosen])

    def _items(self, rows: Rows, generator: np.random.Generator) -> Rows:
        rounds = -(-self.per_class // len(rows))
        draws = [generator.permutation(rows) for _ in range(rounds)]
        return np.concatenate(draws)[: self.per_class]
