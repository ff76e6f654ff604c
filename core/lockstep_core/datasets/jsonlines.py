"""JSONLines: one object a line; items are texts or lists of numbers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

import orjson

from lockstep_core.datasets.columns import Columns, missing
from lockstep_core.datasets.dataset import Inputs
from lockstep_core.datasets.problems import DatasetError, Tally, problem
from lockstep_core.datasets.rows import MAX_BYTES, MAX_ROWS, NameRows, TextRows, VectorRows
from lockstep_core.datasets.table import Table

MAX_LINE = 4 * 1024**2
"""Bytes: more than the longest text takes with each character escaped."""
_SKIP = 1024**2


def line_number(row: int) -> str:
    """Lines are counted from 1, as editors do."""
    return f"line {row + 1}"


def read_jsonlines(
    file: BufferedReader, name: str, columns: Columns, *, max_bytes: int = MAX_BYTES
) -> Table:
    """The set in `file`, open at its start; messages call it `name`. Other fields are left alone.

    Raises DatasetError when it is no text of lines at all, or too large.
    """
    size = os.fstat(file.fileno()).st_size
    if size > max_bytes:
        fix = f"keep the file below {max_bytes} bytes, or store the set as NPZ or Parquet"
        raise DatasetError([problem(f"{name} has {size} bytes", (), fix, count=1)])
    _check_beginning(file, name)
    reader = _Reader(columns)
    for line in _lines(file):
        reader.add(line)
    return reader.finish(name)


def _check_beginning(file: BufferedReader, name: str) -> None:
    """Names the usual mistakes; anything else is told line by line."""
    start = file.peek(4)[:4]
    for sign, what, fix in _MISTAKES:
        if start.startswith(sign):
            raise DatasetError([problem(f"{name} {what}", (), fix, count=1)])


_MISTAKES = (
    (b"\x1f\x8b", "is compressed with gzip", "unpack it: gunzip"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", "unpack it: unzstd"),
    (b"PK\x03\x04", "is a ZIP or NPZ archive", "unpack it, or set format: NPZ"),
    (b"PAR1", "is a Parquet file", "set format: Parquet, and name it .parquet"),
    (b"\xff\xfe", "is UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text", "save it as UTF-8"),
    (b"\xef\xbb\xbf", "begins with a byte order mark", "save it as UTF-8 without one"),
    (b"[", "is one JSON array", "write one object a line: jq -c '.[]'"),
)


def _lines(file: BufferedReader) -> Iterator[bytes | None]:
    """Lines without their end; None for one that is longer than `MAX_LINE`."""
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(_SKIP)
            yield None
        else:
            yield line.rstrip(b"\r\n")


class _Reader:
    """Columns that grow line by line. The first item that is sound says what all are."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._tally = Tally()
        self._names = {name: NameRows(name, line_number, self._tally) for name in columns.names}
        self._given: Counter[str] = Counter()
        self._items: TextRows | VectorRows | None = None
        self._rows = 0
        self._blank = 0

    def add(self, line: bytes | None) -> None:
        if line is not None and not line.strip():
            # Blank lines at the end are forgiven.
            self._blank += 1
            return
        for _ in range(self._blank):
            self._refuse("blank lines", "", "remove them")
        self._blank = 0
        if self._rows >= MAX_ROWS:
            fix = f"keep the set below {MAX_ROWS} rows"
            raise DatasetError([problem(f"the set has more than {MAX_ROWS} lines", (), fix)])
        if (row := self._parse(line)) is not None:
            self._take(row)

    def _parse(self, line: bytes | None) -> dict[str, Any] | None:
        """None when the line was refused."""
        if line is None:
            fix = "keep a line shorter, or store the set as Parquet"
            self._refuse(f"lines longer than {MAX_LINE} bytes", "", fix)
            return None
        try:
            row = orjson.loads(line)
        except ValueError as error:
            fix = "write each item as one JSON object on a line of its own (UTF-8, no NaN)"
            self._refuse("lines that are no JSON", str(error), fix)
            return None
        if not isinstance(row, dict):
            fix = f'write each line as an object: {{"{self._columns.input}": …}}'
            self._refuse("lines that are no object", type(row).__name__, fix)
            return None
        return row

    def _tell(self, what: str, detail: str, fix: str) -> None:
        where = line_number(self._rows)
        self._tally.add(what, f"{where}: {detail}" if detail else where, fix)

    def _refuse(self, what: str, detail: str, fix: str) -> None:
        """A line of which nothing is kept but its place."""
        self._tell(what, detail, fix)
        for each in self._names.values():
            each.skip()
        if self._items is not None:
            self._items.skip()
        self._rows += 1

    def _take(self, row: dict[str, Any]) -> None:
        for name, rows in self._names.items():
            value = row.get(name)
            self._given[name] += value is not None
            if value is None and name in self._columns.needed:
                self._tell_absent(name, row)
                rows.skip()
            else:
                rows.add("" if value is None else value)
        self._take_item(row)
        self._rows += 1

    def _tell_absent(self, name: str, row: dict[str, Any]) -> None:
        has = ", ".join(list(row)[:8]) or "nothing"
        self._tell(f"lines without `{name}`", f"has {has}", missing(self._columns, name))

    def _take_item(self, row: dict[str, Any]) -> None:
        name = self._columns.input
        item = row.get(name)
        if self._items is None and isinstance(item, (str, list)):
            kind = TextRows if isinstance(item, str) else VectorRows
            self._items = kind(name, line_number, self._tally)
            for _ in range(self._rows):
                self._items.skip()
        if item is None:
            self._tell_absent(name, row)
        elif not isinstance(item, (str, list)):
            what = f"lines whose `{name}` is neither text nor a list of numbers"
            fix = f"give `{name}` a text, or a flat list of numbers, on each line"
            self._tell(what, type(item).__name__, fix)
        elif self._items is not None:
            return self._items.add(item)
        if self._items is not None:
            self._items.skip()
        return None

    def finish(self, name: str) -> Table:
        if not self._rows:
            fix = "write one JSON object a line"
            raise DatasetError([problem(f"{name} holds no line", (), fix, count=1)])
        inputs: Inputs | None = self._items.finish() if self._items is not None else None
        names = {}
        for each, rows in self._names.items():
            # What is optional counts once a line has it.
            values = rows.finish() if self._given[each] else None
            if values is not None:
                names[each] = values
        return Table(inputs, names, tuple(self._tally.problems()), line_number)
