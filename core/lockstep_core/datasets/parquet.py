"""Parquet: columns of one file, read in batches; items are texts, vectors or encoded images.

Text and bytes are read as Arrow keeps them, a dictionary and indices, so that a few kilobytes which
repeat one long value a million times do not unfold in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as arrow
import pyarrow.compute as arrow_compute
import pyarrow.parquet as arrow_parquet
from numpy.typing import NDArray

from lockstep_core.datasets.columns import Columns, missing
from lockstep_core.datasets.dataset import MAX_AXIS, Inputs, row_number
from lockstep_core.datasets.problems import DatasetError, Problem, Tally, problem
from lockstep_core.datasets.rows import (
    MAX_BYTES,
    MAX_ROWS,
    ImageRows,
    NameRows,
    TextRows,
    to_float32,
)
from lockstep_core.datasets.table import Table

BATCH_ROWS = 1024
_REWRITE = "write the file again: pyarrow.parquet.write_table, or DataFrame.to_parquet"
_Arrow: TypeAlias = Any


def read_parquet(
    file: BufferedReader, name: str, columns: Columns, *, max_bytes: int = MAX_BYTES
) -> Table:
    """The set in `file`, open at its start; messages call it `name`. Other columns are left alone.

    Raises DatasetError when it is no Parquet file at all, or declares more than `max_bytes`.
    """
    try:
        return _read(file, name, columns, max_bytes)
    except (arrow.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        # An error of the volume has a number; Arrow's own about the bytes has none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        what = f"{name} cannot be read as Parquet"
        raise DatasetError([problem(what, [_first_line(error)], _REWRITE)]) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _read(file: BufferedReader, name: str, columns: Columns, max_bytes: int) -> Table:
    with arrow_parquet.ParquetFile(file) as probe:
        schema, metadata = probe.schema_arrow, probe.metadata
    _check_size(name, metadata, columns, max_bytes)
    readers = _Readers(schema, columns, metadata.num_rows, max_bytes)
    file.seek(0)
    with arrow_parquet.ParquetFile(
        file, read_dictionary=readers.folded, page_checksum_verification=True
    ) as opened:
        for batch in opened.iter_batches(
            batch_size=BATCH_ROWS, columns=readers.paths, use_threads=False
        ):
            readers.add(batch)
    return readers.finish(name)


def _check_size(name: str, metadata: _Arrow, columns: Columns, max_bytes: int) -> None:
    """Raises DatasetError for what the file declares; what it holds is counted as it comes."""
    rows = metadata.num_rows
    if not 0 < rows <= MAX_ROWS:
        fix = f"put at least one row into the set, and at most {MAX_ROWS}"
        raise DatasetError([problem(f"{name} has {rows} rows", (), fix, count=1)])
    unpacked = numbers = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            top = chunk.path_in_schema.split(".")[0]
            unpacked += chunk.total_uncompressed_size if top in columns.all else 0
            numbers += chunk.num_values if top == columns.input else 0
    if unpacked > max_bytes:
        fix = f"keep the columns below {max_bytes} bytes: a part of the set, or smaller items"
        what = f"{name} declares {unpacked} bytes once unpacked"
        raise DatasetError([problem(what, (), fix, count=1)])
    # Runs of one number take no room in the file, but do in memory.
    if numbers > min(rows * MAX_AXIS, max_bytes // 4):
        fix = f"keep a vector below {MAX_AXIS} numbers, and the set below {max_bytes // 4}"
        what = f"`{columns.input}` declares {numbers} numbers in {rows} rows"
        raise DatasetError([problem(what, (), fix, count=1)])


class _Readers:
    """One reader for each column that can be read, and the problems of the others."""

    def __init__(self, schema: _Arrow, columns: Columns, rows: int, max_bytes: int) -> None:
        self._columns = columns
        self._rows = rows
        self._tally = Tally()
        self._problems: list[Problem] = []
        self._seen = 0
        self._items: _Items | None = None
        self._names: dict[str, NameRows] = {}
        self.paths: list[str] = []
        """Columns to read, and of them those whose values are kept folded in a dictionary."""
        self.folded: list[str] = []
        for name in columns.all:
            if (kind := self._type_of(schema, name)) is not None:
                self._add_reader(name, kind, max_bytes)

    def _add_reader(self, name: str, kind: _Arrow, max_bytes: int) -> None:
        used = False
        if name in self._columns.names and self._check_name(name, kind):
            self._names[name] = NameRows(name, row_number, self._tally)
            used = True
        if name == self._columns.input and (made := self._items_of(name, kind, max_bytes)):
            self._items = made
            used = True
        if used:
            path = f"{name}.bytes" if arrow.types.is_struct(kind) else name
            self.paths.append(path)
            if not _is_list(kind) and not arrow.types.is_integer(_plain(kind)):
                self.folded.append(path)

    def _type_of(self, schema: _Arrow, name: str) -> _Arrow | None:
        found = schema.get_all_field_indices(name)
        if len(found) > 1:
            fix = "give each column a name of its own"
            self._tell(f"{len(found)} columns are named `{name}`", fix)
        elif not found and name in self._columns.needed:
            has = ", ".join(schema.names[:8]) or "nothing"
            fix = f"{missing(self._columns, name)}; the file holds: {has}"
            self._tell(f"column `{name}` is missing", fix)
        return schema.field(found[0]).type if len(found) == 1 else None

    def _tell(self, what: str, fix: str) -> None:
        self._problems.append(problem(what, (), fix, count=1))

    def _check_name(self, name: str, kind: _Arrow) -> bool:
        plain = _plain(kind)
        if _is_string(plain) or arrow.types.is_integer(plain):
            return True
        self._tell(f"column `{name}` is {kind}", f"store `{name}` as text or whole numbers")
        return False

    def _items_of(self, name: str, kind: _Arrow, max_bytes: int) -> _Items | None:
        types = arrow.types
        plain = _plain(kind)
        if _is_string(plain):
            return _TextItems(TextRows(name, row_number, self._tally, max_bytes))
        if _is_binary(plain) or (
            types.is_struct(kind)
            and (at := kind.get_field_index("bytes")) >= 0
            and _is_binary(kind.field(at).type)
        ):
            return _ImageItems(ImageRows(name, self._rows, row_number, self._tally, max_bytes))
        if _is_list(kind) and types.is_floating(kind.value_type):
            return _VectorItems(name, self._rows, self._tally, max_bytes)
        self._tell(
            f"column `{name}` is {kind}",
            f"store `{name}` as text, as a list of floats, or as the bytes of PNG or JPEG images",
        )
        return None

    def add(self, batch: _Arrow) -> None:
        for name, rows in self._names.items():
            for value in _cells(batch.column(name)):
                rows.add(value)
        if self._items is not None:
            self._items.add(batch.column(self._columns.input))
        self._seen += batch.num_rows

    def finish(self, name: str) -> Table:
        if self.paths and self._seen != self._rows:
            what = f"{name} declares {self._rows} rows, but holds {self._seen}"
            raise DatasetError([problem(what, (), _REWRITE, count=1)])
        inputs, more = self._items.finish() if self._items is not None else (None, [])
        names = {
            each: values
            for each, rows in self._names.items()
            if (values := rows.finish()) is not None
        }
        problems = (*self._problems, *self._tally.problems(), *more)
        return Table(inputs, names, problems)


def _plain(kind: _Arrow) -> _Arrow:
    return kind.value_type if arrow.types.is_dictionary(kind) else kind


def _is_string(kind: _Arrow) -> bool:
    types = arrow.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_binary(kind: _Arrow) -> bool:
    types = arrow.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_list(kind: _Arrow) -> bool:
    types = arrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _cells(column: _Arrow) -> Iterator[Any]:
    """Values of a column; equal ones of a dictionary are one object, however often they occur."""
    if not arrow.types.is_dictionary(column.type):
        yield from column.to_pylist()
        return
    indices = column.indices.to_pylist()
    used = sorted(set(indices) - {None})
    values = column.dictionary.take(arrow.array(used, arrow.int64())).to_pylist()
    found = dict(zip(used, values, strict=True))
    yield from (None if index is None else found[index] for index in indices)


class _Items(Protocol):
    def add(self, column: _Arrow) -> None: ...
    def finish(self) -> tuple[Inputs | None, list[Problem]]: ...


@dataclass
class _TextItems:
    rows: TextRows

    def add(self, column: _Arrow) -> None:
        for value in _cells(column):
            self.rows.add(value)

    def finish(self) -> tuple[Inputs | None, list[Problem]]:
        return self.rows.finish(), []


@dataclass
class _ImageItems:
    rows: ImageRows

    def add(self, column: _Arrow) -> None:
        if arrow.types.is_struct(column.type):
            # As the `datasets` library stores an image: its bytes and a path.
            column = column.field("bytes")
        for value in _cells(column):
            self.rows.add(value)

    def finish(self) -> tuple[Inputs | None, list[Problem]]:
        return self.rows.finish()


class _VectorItems:
    """Lists of floats, copied into one array batch by batch."""

    def __init__(self, name: str, rows: int, tally: Tally, max_bytes: int) -> None:
        self._name = name
        self._rows = rows
        self._tally = tally
        self._max_bytes = max_bytes
        self._found: NDArray[np.float32] | None = None
        self._count = 0
        self._complete = True

    def add(self, column: _Arrow) -> None:
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
