"""Columns of strings (ids, labels) that a server maps into memory instead of reading them.

A column is two arrays: the UTF-8 bytes of all values end to end, and where each value starts. For
a million ids of 14 characters that is 22 MB on disk and next to nothing in anonymous memory,
where fixed-width unicode (`<U14`) takes 56 MB, more with one long value, and a Python list of
strings over 60 MB of heap. Neither array can hold a pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]


def column_files(name: str) -> tuple[str, str]:
    """Names of a column's two files: bytes and offsets."""
    return f"{name}.npy", f"{name}.offsets.npy"


@dataclass(frozen=True)
class StringColumn:
    """`data`: uint8 (n bytes); `offsets`: int64 (rows + 1), from 0 up to n."""

    data: NDArray[np.uint8]
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is not one of 0 to {len(self) - 1}")
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()


def write_column(directory: Path, name: str, values: Sequence[str]) -> None:
    """Writes `values` as the column `name`: the same values give the same bytes."""
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, dtype="<i8")
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    data_file, offsets_file = column_files(name)
    np.save(directory / data_file, np.frombuffer(b"".join(encoded), dtype=np.uint8))
    np.save(directory / offsets_file, offsets)


def open_column(directory: Path, name: str) -> StringColumn:
    """Maps a column. Raises ValueError when its two files do not describe one column."""
    data_file, offsets_file = column_files(name)
    data = np.load(directory / data_file, mmap_mode="r", allow_pickle=False)
    offsets = np.load(directory / offsets_file, mmap_mode="r", allow_pickle=False)
    if data.dtype != np.uint8 or data.ndim != 1 or offsets.dtype != np.int64 or offsets.ndim != 1:
        raise ValueError(f"{data_file} and {offsets_file} are not a column of strings")
    ordered = len(offsets) > 0 and offsets[0] == 0 and bool(np.all(np.diff(offsets) >= 0))
    if not ordered or offsets[-1] != len(data):
        raise ValueError(f"{offsets_file} does not divide the {len(data)} bytes of {data_file}")
    return StringColumn(data, offsets)
