"""Rows of unequal length, kept without padding and padded a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.uint8] | NDArray[np.int64]
"""[B, L]: bytes or tokens, as the graph takes them."""

MAX_UNITS_PER_BATCH = 8192
"""Texts of a batch, times the longest of them: the attention of 8192 tokens in texts of 512 takes
about 200 MB in a small transformer."""


@dataclass(frozen=True)
class Ragged:
    """Prepared texts. Indexed like an array by a slice or by row numbers, it gives `Units` [B, L],
    where L is the longest of those rows and `pad` fills the others.

    `values` is all rows end to end; row i is `values[starts[i]:starts[i + 1]]`.
    """

    values: NDArray[np.uint8] | NDArray[np.int32]
    starts: NDArray[np.int64]
    pad: int
    dtype: np.dtype[Any]

    @classmethod
    def of(
        cls, rows: Iterable[Sequence[int]], *, stored: type[Any], pad: int, given: type[Any]
    ) -> Ragged:
        """`rows` of numbers of the type `stored`, which an index gives as the type `given`."""
        arrays = [np.frombuffer(row, stored) if isinstance(row, bytes) else
                  np.asarray(row, stored) for row in rows]  # fmt: skip
        lengths = np.fromiter(map(len, arrays), dtype=np.int64, count=len(arrays))
        values = np.concatenate(arrays) if arrays else np.empty(0, stored)
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]), pad, np.dtype(given))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Units:
        chosen = np.arange(len(self))[rows]
        starts, lengths = self.starts[chosen], self.lengths[chosen]
        places = np.arange(int(lengths.max(initial=0)))
        inside = places < lengths[:, None]
        padded = np.full(inside.shape, self.pad, dtype=self.dtype)
        padded[inside] = self.values[(starts[:, None] + places)[inside]]
        return padded


Prepared: TypeAlias = NDArray[np.uint8] | NDArray[np.float32] | Ragged
"""Items as the graph takes them, by rows: an index gives a batch."""


def batches(prepared: Prepared, size: int) -> Iterator[NDArray[np.int64]]:
    """Rows of each batch of at most `size`; every row once. Texts of like length go together, since
    each is padded to the longest, and fewer of them where they are long."""
    if not isinstance(prepared, Ragged):
        for start in range(0, len(prepared), size):
            yield np.arange(start, min(start + size, len(prepared)))
        return
    lengths = prepared.lengths
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = min(size, max(1, MAX_UNITS_PER_BATCH // int(lengths[order[start]])))
        yield order[start : start + count]
        start += count
