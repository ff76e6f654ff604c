"""One column of a Parquet file: what its Arrow type is, its cells, and the items that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as arrow
import pyarrow.compute as arrow_compute
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import MAX_AXIS, Inputs, row_number
from lockstep_core.datasets.image_rows import ImageRows
from lockstep_core.datasets.problems import DatasetError, Problem, Tally, problem
from lockstep_core.datasets.rows import TextRows, to_float32

Arrow: TypeAlias = Any
"""A type, an array or metadata of Arrow, which has no types of its own."""


def plain_type(kind: Arrow) -> Arrow:
    """The type of the values, where `kind` folds them in a dictionary."""
    return kind.value_type if arrow.types.is_dictionary(kind) else kind


def is_string(kind: Arrow) -> bool:
    types = arrow.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_binary(kind: Arrow) -> bool:
    types = arrow.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def is_list(kind: Arrow) -> bool:
    types = arrow.types
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def cells(column: Arrow) -> Iterator[Any]:
    """Values of a column; equal ones of a dictionary are one object, however often they occur."""
    if not arrow.types.is_dictionary(column.type):
        yield from column.to_pylist()
        return
    indices = column.indices.to_pylist()
    used = sorted(set(indices) - {None})
    values = column.dictionary.take(arrow.array(used, arrow.int64())).to_pylist()
    unfolded = dict(zip(used, values, strict=True))
    yield from (None if index is None else unfolded[index] for index in indices)


class Items(Protocol):
    """Reads the items of a set, batch by batch; `finish` gives them, or what is wrong."""

    def add(self, column: Arrow) -> None: ...
    def finish(self) -> tuple[Inputs | None, list[Problem]]: ...


@dataclass
class TextItems:
    """See `Items`."""

    rows: TextRows

    def add(self, column: Arrow) -> None:
        for value in cells(column):
            self.rows.add(value)

    def finish(self) -> tuple[Inputs | None, list[Problem]]:
        return self.rows.finish(), []


@dataclass
class ImageItems:
    """See `Items`. `with_paths`: structs of bytes and a path, as the library `datasets` has."""

    rows: ImageRows
    with_paths: bool = False

    def add(self, column: Arrow) -> None:
        if self.with_paths:
            column = column.field("bytes")
        for value in cells(column):
            if value is None and self.with_paths:
                self.rows.refuse_path()
            else:
                self.rows.add(value)

    def finish(self) -> tuple[Inputs | None, list[Problem]]:
        return self.rows.finish()


class VectorItems:
    """Lists of floats, copied into one array batch by batch."""

    def __init__(self, name: str, rows: int, tally: Tally, max_bytes: int) -> None:
        self._name = name
        self._rows = rows
        self._tally = tally
        self._max_bytes = max_bytes
        self._found: NDArray[np.float32] | None = None
        self._count = 0
        self._complete = True

    def add(self, column: Arrow) -> None:
        lengths = np.asarray(
            arrow_compute.fill_null(arrow_compute.list_value_length(column), -1), dtype=np.int64
        )
        width = self._width(lengths)
        fix = "remove these rows, or repair what computed them"
        self._refuse(lengths < 0, f"rows without `{self._name}`", fix)
        self._refuse(lengths == 0, f"vectors of `{self._name}` without numbers", fix)
        what = f"vectors of `{self._name}` that do not have {width} numbers like the first"
        self._refuse((lengths > 0) & (lengths != width), what, "give all vectors one length")
        if self._complete and width:
            values = to_float32(column.flatten().to_numpy(zero_copy_only=False))
            room = self._room(width)
            room[self._count : self._count + len(lengths)] = values.reshape(-1, width)
        self._count += len(lengths)

    def _width(self, lengths: NDArray[np.int64]) -> int:
        if self._found is not None:
            return int(self._found.shape[1])
        sound = lengths[lengths > 0]
        return int(sound[0]) if sound.size else 0

    def _refuse(self, bad: NDArray[np.bool_], what: str, fix: str) -> None:
        for row in np.flatnonzero(bad):
            self._complete = False
            self._tally.add(what, row_number(self._count + int(row)), fix)

    def _room(self, width: int) -> NDArray[np.float32]:
        if self._found is None:
            if (total := 4 * width * self._rows) > self._max_bytes or width > MAX_AXIS:
                fix = f"keep vectors below {MAX_AXIS} numbers, and the set below"
                what = f"`{self._name}` takes {total} bytes as vectors of {width} numbers"
                raise DatasetError([problem(what, (), f"{fix} {self._max_bytes} bytes", count=1)])
            self._found = np.empty((self._rows, width), dtype=np.float32)
        return self._found

    def finish(self) -> tuple[Inputs | None, list[Problem]]:
        return (self._found if self._complete else None), []
