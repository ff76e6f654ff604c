"""Which rows of the corpus have one vector, so that an index holds each vector once.

Many equal vectors (one placeholder image, one boilerplate text) trap the walk of a graph: they
link to one another alone, and what lies behind them is never reached. An index is therefore built
of the distinct vectors, and each one found stands for its rows. Equal means equal bytes as stored.

Vectors are numbered by their first row. The mapping is kept as two arrays that a server maps into
memory, in builds that have repeats and in no other: the rows of vector i are
`rows[offsets[i]:offsets[i + 1]]`, ascending.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep_indexer.engines import Rows
from lockstep_indexer.vectors import StoredVectors

ROWS_FILE = "rows.npy"
OFFSETS_FILE = "rows.offsets.npy"

DIGEST_BYTES = 16
# Rows in memory at a time, beside the file that they are mapped from.
COPY_ROWS = 65536
# Half the memory, where it holds every row number.
LARGEST_INT32 = 2**31 - 1


class MappingError(ValueError):
    """The two files do not give each row of the corpus to one vector."""


@dataclass(frozen=True)
class RowGroups:
    """`offsets`: int64 (vectors + 1), from 0 up to n; `rows`: int32 or int64 (n), each row once."""

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32] | NDArray[np.int64]

    def __len__(self) -> int:
        """The number of distinct vectors."""
        return len(self.offsets) - 1

    @property
    def first(self) -> NDArray[np.int32] | NDArray[np.int64]:
        """The first row of each vector, ascending."""
        return self.rows[self.offsets[:-1]]

    def of(self, vector: int) -> NDArray[np.int32] | NDArray[np.int64]:
        """The rows of one vector, ascending."""
        return self.rows[self.offsets[vector] : self.offsets[vector + 1]]

    def expand(
        self, found: Rows, distances: NDArray[np.float64], k: int
    ) -> tuple[Rows, NDArray[np.float64]]:
        """The first k rows of the vectors `found` (n, m), each with its vector's distance: (n, k).

        Nearest first, and equal distances by row number, as `found` must be. The vectors must have
        k rows or more, and every place of `found` be filled. If they are the m = min(k, vectors)
        nearest then these are the k nearest rows: a vector comes before another at the same
        distance when its first row does, so no row of a later one is among the first k.
        """
        starts = self.offsets[found]
        sizes = self.offsets[found + 1] - starts
        if sizes.max(initial=1) == 1:
            # Most searches meet no repeats. Vectors are in the order of their rows, and k of them.
            return self.rows[starts].astype(np.int64), distances
        before = np.cumsum(sizes, axis=1) - sizes
        taken = np.clip(k - before, 0, sizes)
        # Row j of an answer is the (j - before)th row of the vector that gives it.
        place = np.repeat((starts - before).ravel(), taken.ravel()).reshape(len(found), k)
        rows = self.rows[place + np.arange(k)].astype(np.int64)
        apart = np.repeat(distances.ravel(), taken.ravel()).reshape(len(found), k)
        for query in np.flatnonzero((np.diff(distances, axis=1) == 0).any(axis=1)):
            rows[query] = self._merged(found[query], distances[query], k)
        return rows, apart

    def _merged(self, found: Rows, distances: NDArray[np.float64], k: int) -> list[int]:
        """The rows of one query, those of equally far vectors merged by row number."""
        chosen: list[int] = []
        ends = np.append(np.flatnonzero(np.diff(distances)) + 1, len(found))
        for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
            left = k - len(chosen)
            if not left:
                break
            equal = [self.of(vector)[:left].tolist() for vector in found[start:end]]
            chosen += islice(heapq.merge(*equal), left)
        return chosen


def find_groups(stored: StoredVectors) -> RowGroups | None:
    """Which rows of `stored` (n, d) have the same bytes; None when all of them are distinct.

    Compared by a digest of 128 bits a row, so that no second copy of the vectors is in memory.
    """
    digests = np.empty((len(stored), DIGEST_BYTES), dtype=np.uint8)
    for start in range(0, len(stored), COPY_ROWS):
        block = np.array(stored[start : start + COPY_ROWS])
        made = b"".join(blake2b(row, digest_size=DIGEST_BYTES).digest() for row in block)
        digests[start : start + len(block)] = np.frombuffer(made, np.uint8).reshape(len(block), -1)
    whole = digests.view(np.dtype((np.void, DIGEST_BYTES))).ravel()
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    if len(first) == len(stored):
        return None
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    vector_of = number[group]
    offsets = np.zeros(len(first) + 1, dtype=np.int64)
    np.cumsum(np.bincount(vector_of), out=offsets[1:])
    rows = np.argsort(vector_of, kind="stable")
    return RowGroups(offsets, rows.astype(np.int32) if len(rows) <= LARGEST_INT32 else rows)


def keep_distinct(path: Path, stored: StoredVectors, groups: RowGroups) -> StoredVectors:
    """Replaces the file `path` of `stored` by one of the distinct vectors, and maps that.

    `stored` may be mapped from `path`: it stays readable.
    """
    shorter = path.with_name(f"{path.name}.distinct")
    first = groups.first
    kept = np.lib.format.open_memmap(
        shorter, "w+", dtype=stored.dtype, shape=(len(groups), stored.shape[1])
    )
    for start in range(0, len(groups), COPY_ROWS):
        kept[start : start + COPY_ROWS] = stored[first[start : start + COPY_ROWS]]
    kept.flush()
    shorter.replace(path)
    return kept


def write_groups(directory: Path, groups: RowGroups) -> None:
    """The same groups give the same bytes."""
    np.save(directory / ROWS_FILE, groups.rows)
    np.save(directory / OFFSETS_FILE, groups.offsets)


def open_groups(directory: Path, *, vectors: int, rows: int) -> RowGroups:
    """Maps the groups of `rows` rows with `vectors` distinct vectors.

    Raises `MappingError` unless each row belongs to one vector, each vector has a row, and rows
    and vectors ascend as written: a search follows these numbers without looking at them again.
    """
    offsets, mapped = _mapped(directory / OFFSETS_FILE), _mapped(directory / ROWS_FILE)
    if offsets.dtype != np.int64 or offsets.shape != (vectors + 1,):
        raise MappingError(
            f"{OFFSETS_FILE} is {offsets.dtype} {offsets.shape}, must be int64 {(vectors + 1,)}:"
            f" the manifest says {vectors} distinct vectors"
        )
    if mapped.dtype not in (np.int32, np.int64) or mapped.shape != (rows,):
        raise MappingError(
            f"{ROWS_FILE} is {mapped.dtype} {mapped.shape}, must be int32 or int64 {(rows,)}:"
            f" the manifest says {rows} rows"
        )
    if offsets[0] != 0 or offsets[-1] != rows or not np.all(offsets[1:] > offsets[:-1]):
        raise MappingError(
            f"{OFFSETS_FILE} must rise from 0 to {rows}, with a row or more for each vector"
        )
    _check_rows(offsets, mapped)
    return RowGroups(offsets, mapped)


def _mapped(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise MappingError(f"{path.name} is no array that can be mapped: {error}") from error
    if not isinstance(array, np.ndarray):
        raise MappingError(f"{path.name} is no array but an archive of several")
    return array


def _check_rows(offsets: NDArray[np.int64], mapped: NDArray[np.int32] | NDArray[np.int64]) -> None:
    rows = len(mapped)
    if mapped.min() < 0 or mapped.max() >= rows:
        raise MappingError(f"{ROWS_FILE} names rows that are not among 0 to {rows - 1}")
    named = np.zeros(rows, dtype=np.bool_)
    named[mapped] = True
    if not named.all():
        raise MappingError(f"{ROWS_FILE} names a row twice and row {int(named.argmin())} never")
    rises = mapped[1:] > mapped[:-1]
    rises[offsets[1:-1] - 1] = True
    first = mapped[offsets[:-1]]
    if not rises.all() or not np.all(first[1:] > first[:-1]):
        raise MappingError(
            f"{ROWS_FILE} is out of order: the rows of a vector must ascend, and vectors by their"
            " first row"
        )
