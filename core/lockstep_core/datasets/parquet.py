"""Parquet: columns of one file, read in batches; items are texts, vectors or encoded images.

Text and bytes are read as Arrow keeps them, a dictionary and indices, so that a few kilobytes which
repeat one long value a million times do not unfold in memory.
"""

from __future__ import annotations

from io import BufferedReader

import pyarrow as arrow
import pyarrow.parquet as arrow_parquet

from lockstep_core.datasets.columns import Columns, missing
from lockstep_core.datasets.dataset import MAX_AXIS, row_number
from lockstep_core.datasets.image_rows import ImageRows
from lockstep_core.datasets.parquet_columns import (
    Arrow,
    ImageItems,
    Items,
    TextItems,
    VectorItems,
    cells,
    is_binary,
    is_list,
    is_string,
    plain_type,
)
from lockstep_core.datasets.problems import DatasetError, Problem, Tally, problem
from lockstep_core.datasets.rows import (
    AS_TEXT,
    MAX_BYTES,
    MAX_ROWS,
    NameRows,
    TextRows,
)
from lockstep_core.datasets.table import Table
from lockstep_core.protocol.artifacts import PixelReading

BATCH_ROWS = 1024
_REWRITE = "write the file again: pyarrow.parquet.write_table, or DataFrame.to_parquet"


def read_parquet(
    file: BufferedReader,
    name: str,
    columns: Columns,
    *,
    reading: PixelReading = PixelReading.AS_SHOWN,
    max_bytes: int = MAX_BYTES,
) -> Table:
    """The set in `file`, open at its start; messages call it `name`. Other columns are left alone.

    Raises DatasetError when it is no Parquet file at all, or declares more than `max_bytes`.
    """
    try:
        return _read(file, name, columns, reading, max_bytes)
    except (arrow.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        # An error of the volume has a number; Arrow's own about the bytes has none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        what = f"{name} cannot be read as Parquet"
        raise DatasetError([problem(what, [_first_line(error)], _REWRITE)]) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _read(
    file: BufferedReader, name: str, columns: Columns, reading: PixelReading, max_bytes: int
) -> Table:
    with arrow_parquet.ParquetFile(file) as probe:
        schema, metadata = probe.schema_arrow, probe.metadata
    _check_size(name, metadata, columns, max_bytes)
    readers = _Readers(schema, columns, metadata.num_rows, reading, max_bytes)
    file.seek(0)
    with arrow_parquet.ParquetFile(
        file, read_dictionary=readers.folded, page_checksum_verification=True
    ) as opened:
        for batch in opened.iter_batches(
            batch_size=BATCH_ROWS, columns=readers.paths, use_threads=False
        ):
            readers.add(batch)
    return readers.finish(name)


def _check_size(name: str, metadata: Arrow, columns: Columns, max_bytes: int) -> None:
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

    def __init__(
        self, schema: Arrow, columns: Columns, rows: int, reading: PixelReading, max_bytes: int
    ) -> None:
        self._columns = columns
        self._reading = reading
        self._rows = rows
        self._tally = Tally()
        self._problems: list[Problem] = []
        self._seen = 0
        self._items: Items | None = None
        self._names: dict[str, NameRows] = {}
        self.paths: list[str] = []
        """Columns to read, and of them those whose values are kept folded in a dictionary."""
        self.folded: list[str] = []
        for name in columns.all:
            if (kind := self._type_of(schema, name)) is not None:
                self._add_reader(name, kind, max_bytes)

    def _add_reader(self, name: str, kind: Arrow, max_bytes: int) -> None:
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
            if not is_list(kind) and not arrow.types.is_integer(plain_type(kind)):
                self.folded.append(path)

    def _type_of(self, schema: Arrow, name: str) -> Arrow | None:
        fields = schema.get_all_field_indices(name)
        if len(fields) > 1:
            fix = "give each column a name of its own"
            self._tell(f"{len(fields)} columns are named `{name}`", fix)
        elif not fields and name in self._columns.needed:
            has = ", ".join(schema.names[:8]) or "nothing"
            fix = f"{missing(self._columns, name)}; the file holds: {has}"
            self._tell(f"column `{name}` is missing", fix)
        return schema.field(fields[0]).type if len(fields) == 1 else None

    def _tell(self, what: str, fix: str) -> None:
        self._problems.append(problem(what, (), fix, count=1))

    def _check_name(self, name: str, kind: Arrow) -> bool:
        plain = plain_type(kind)
        if is_string(plain) or arrow.types.is_integer(plain):
            return True
        fix = f"store `{name}` as text or whole numbers"
        if is_binary(plain):
            fix += f": {AS_TEXT}"
        self._tell(f"column `{name}` is {kind}", fix)
        return False

    def _items_of(self, name: str, kind: Arrow, max_bytes: int) -> Items | None:
        types = arrow.types
        plain = plain_type(kind)
        if is_string(plain):
            return TextItems(TextRows(name, row_number, self._tally, max_bytes))
        if is_binary(plain) or (
            types.is_struct(kind)
            and (at := kind.get_field_index("bytes")) >= 0
            and is_binary(kind.field(at).type)
        ):
            rows = ImageRows(
                name, self._rows, row_number, self._tally, max_bytes, reading=self._reading
            )
            return ImageItems(rows, with_paths=types.is_struct(kind))
        if is_list(kind) and types.is_floating(kind.value_type):
            return VectorItems(name, self._rows, self._tally, max_bytes)
        self._tell(
            f"column `{name}` is {kind}",
            f"store `{name}` as text, as a list of floats, or as the bytes of PNG or JPEG images",
        )
        return None

    def add(self, batch: Arrow) -> None:
        for name, rows in self._names.items():
            for value in cells(batch.column(name)):
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
