"""Batches of P classes x K items, the composition that triplets need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lockstep_trainer.offline.guide import Guide

Rows = NDArray[np.int64]


class PKSampler:
    """Draws batches of `classes` x `per_class` rows; the same seed gives the same batches.

    Classes come in rounds: each round is a fresh permutation, cut into batches; what is left over
    (fewer than P classes) waits for the next round. Items of a class are drawn without
    replacement, or, where the class has fewer than K, each of them as evenly as K allows. A class
    of one item has no positive pair, so it is not drawn.

    Once there is a `guide`, half of a batch's classes are drawn so. Each of them then brings the
    class of the nearest mined negative of its items that is not in the batch yet, that negative
    first; where none is left, a class by chance.

    A batch depends on the seed, its number and the guide alone.
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
        self.guide: Guide | None = None
        self._place_of = np.full(len(codes), -1, dtype=np.int64)
        for place, rows in enumerate(self._rows):
            self._place_of[rows] = place

    def __next__(self) -> Rows:
        """Rows of the next batch, int64 [P x K], items of a class side by side."""
        drawn = self.classes if self.guide is None else self.classes // 2
        per_round = len(self._rows) // drawn
        round_number, place = divmod(self.step, per_round)
        order = np.random.default_rng((self.seed, 0, round_number)).permutation(len(self._rows))
        chosen = order[place * drawn : (place + 1) * drawn]
        generator = np.random.default_rng((self.seed, 1, self.step))
        self.step += 1
        items = {int(code): self._items(self._rows[code], generator) for code in chosen}
        if self.guide is not None:
            self._complete(items, self.guide, generator)
        return np.concatenate(list(items.values()))

    def _complete(
        self, items: dict[int, Rows], guide: Guide, generator: np.random.Generator
    ) -> None:
        """Adds to `items`, rows by class, until there are P classes."""
        for code in list(items):
            negatives = guide.of(items[code])
            places = self._place_of[negatives]
            fresh = [int(place) for place in places if place >= 0 and int(place) not in items]
            if fresh and len(items) < self.classes:
                mined = negatives[places == fresh[0]]
                others = self._items(self._rows[fresh[0]], generator)
                items[fresh[0]] = _distinct_first(mined, others)
        for code in generator.permutation(len(self._rows)):
            if len(items) == self.classes:
                break
            if int(code) not in items:
                items[int(code)] = self._items(self._rows[code], generator)

    def _items(self, rows: Rows, generator: np.random.Generator) -> Rows:
        rounds = -(-self.per_class // len(rows))
        draws = [generator.permutation(rows) for _ in range(rounds)]
        return np.concatenate(draws)[: self.per_class]


def _distinct_first(mined: Rows, others: Rows) -> Rows:
    """As many rows as `others`: the mined ones, each once, then those of `others` that are none."""
    _, first = np.unique(mined, return_index=True)
    own = mined[np.sort(first)][: len(others)]
    rest = others[~np.isin(others, own)]
    # A class of fewer than K items repeats them as evenly as before.
    return np.concatenate([own, rest, others])[: len(others)]
