"""Which embeddings of a second are shown to the monitor: pure, with chance as an argument."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float32]
_BELOW_ONE = 1 - 2**-53


class Sample:
    """A uniform sample, without replacement, of up to `size` of the rows that are offered.

    Algorithm L (Li 1994, ACM TOMS 20:4): what is chosen next is drawn as a number of rows to pass
    over, so that a row which is not chosen costs nothing. `chance` gives floats in [0, 1).
    """

    def __init__(self, size: int, chance: Callable[[], float]) -> None:
        self._size = size
        self._chance = chance
        self._clear()

    def _clear(self) -> None:
        self._rows: list[Row] = []
        self.seen = 0
        self._weight = 1.0
        self._next = 0

    def offer(self, rows: NDArray[np.float32]) -> None:
        """Considers `rows` [n, dimension]; keeps copies of those that are chosen."""
        end = self.seen + len(rows)
        while self._next < end:
            row = rows[self._next - self.seen].copy()
            if len(self._rows) < self._size:
                self._rows.append(row)
            else:
                self._rows[int(self._chance() * self._size)] = row
            self._next += 1
            if len(self._rows) == self._size:
                self._pass_over()
        self.seen = end

    def _pass_over(self) -> None:
        self._weight *= math.exp(math.log(1 - self._chance()) / self._size)
        weight = min(self._weight, _BELOW_ONE)
        self._next += int(math.log(1 - self._chance()) / math.log1p(-weight))

    def take(self) -> list[Row]:
        """What was chosen, in an order that says nothing of when it came; begins anew."""
        rows = self._rows
        self._clear()
        return rows


def share(budget: int, wanted: tuple[int, int]) -> tuple[int, int]:
    """How many of two kinds go, `budget` at most: half each, and what one leaves goes to the other.

    The first has the odd one. A bulk import of embeddings cannot crowd out the searches.
    """
    first, second = wanted
    of_first = min(first, max(budget - second, budget - budget // 2))
    return of_first, min(second, budget - of_first)


def thinned(rows: list[Row], count: int, chance: Callable[[], float]) -> list[Row]:
    """`count` of the rows, each set of so many as likely as any other (Fisher and Yates)."""
    left = list(rows)
    for at in range(min(count, len(left))):
        other = at + int(chance() * (len(left) - at))
        left[at], left[other] = left[other], left[at]
    return left[:count]
