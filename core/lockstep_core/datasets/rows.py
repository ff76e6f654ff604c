"""Columns that grow row by row, under limits, from files that may hold anything.

Each keeps a place for a row that is refused, so that the number of a row stays what it is in the
file.
"""

from __future__ import annotations

from collections import Counter
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import MAX_AXIS, MAX_NAME, MAX_TEXT, Place, Strings, Texts
from lockstep_core.datasets.problems import DatasetError, Tally, problem

MAX_BYTES = 16 * 1024**3
MAX_NAME_BYTES = 4 * 1024**3
MAX_ROWS = 100_000_000
AS_TEXT = (
    "cast the column to pyarrow.string() before it is written; fastparquet does with"
    " object_encoding='utf8'"
)


class NameRows:
    """Labels, ids or groups: texts, or whole numbers as text."""

    def __init__(self, name: str, place: Place, tally: Tally) -> None:
        self.name = name
        self._place = place
        self._tally = tally
        self._values: list[str] = []
        self._longest = 1
        self.complete = True

    def add(self, value: object) -> None:
        if isinstance(value, str) and len(value) <= MAX_NAME:
            self._values.append(value)
            self._longest = max(self._longest, len(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            self._values.append(text := str(value))
            self._longest = max(self._longest, len(text))
        else:
            self._refuse(value)

    def skip(self) -> None:
        """Keeps the place of a row that is refused as a whole."""
        self._values.append("")
        self.complete = False

    def _refuse(self, value: object) -> None:
        where = self._place(len(self._values))
        if value is None:
            fix = f"give each row a text in `{self.name}`"
            self._tally.add(f"rows without `{self.name}`", where, fix)
        elif isinstance(value, str):
            fix = f"shorten to at most {MAX_NAME} characters"
            self._tally.add(f"rows with overlong `{self.name}`", where, fix)
        else:
            fix = f"store `{self.name}` as text or whole numbers"
            what = f"rows whose `{self.name}` is neither text nor a whole number"
            self._tally.add(what, f"{where}: {type(value).__name__}", fix)
        self.skip()

    def finish(self) -> Strings | None:
        """None when a row was refused. Raises DatasetError when it would fill the memory."""
        if not self.complete:
            return None
        # As numpy keeps text, each row takes the room of the longest.
        if (total := 4 * self._longest * len(self._values)) > MAX_NAME_BYTES:
            fix = "shorten the longest, or split the set"
            raise DatasetError([problem(f"`{self.name}` takes {total} bytes", (), fix, count=1)])
        return np.array(self._values, dtype=np.str_)


class TextRows:
    """Items that are texts."""

    def __init__(self, name: str, place: Place, tally: Tally, max_bytes: int = MAX_BYTES) -> None:
        self._name = name
        self._place = place
        self._tally = tally
        self._values: list[str] = []
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._complete = True

    def add(self, value: object) -> None:
        if isinstance(value, str) and len(value) <= MAX_TEXT:
            self._judge(value)
            self._values.append(value)
            self._left -= len(value)
            if self._left < 0:
                fix = "keep the set smaller: shorter texts, or a part of them"
                what = f"`{self._name}` holds more than {self._max_bytes} characters"
                raise DatasetError([problem(what, (), fix, count=1)])
            return
        where = self._place(len(self._values))
        if value is None:
            fix = f"remove these rows, or give each an item in `{self._name}`"
            self._tally.add(f"rows without `{self._name}`", where, fix)
        elif isinstance(value, str):
            fix = "shorten them, or split each into several rows of its class"
            what = f"texts of `{self._name}` longer than {MAX_TEXT} characters"
            self._tally.add(what, f"{where}: {len(value)}", fix)
        else:
            what = f"rows whose `{self._name}` is no text, unlike the first"
            fix = f"give `{self._name}` one type in all rows"
            self._tally.add(what, f"{where}: {type(value).__name__}", fix)
        self.skip()

    def _judge(self, value: str) -> None:
        """As `value_problems` does, which sees nothing of a column that has other faults."""
        where = self._place(len(self._values))
        if not value.strip():
            fix = "remove these rows, or give each a text"
            self._tally.add(f"rows with empty text in `{self._name}`", where, fix)
            self._complete = False
        elif "\0" in value:
            fix = "remove the character: it is what texts are padded with"
            self._tally.add(f"texts of `{self._name}` with a NUL character", where, fix)
            self._complete = False

    def skip(self) -> None:
        """Keeps the place of a row that is refused as a whole."""
        self._values.append("")
        self._complete = False

    def finish(self) -> Texts | None:
        if not self._complete:
            return None
        return cast(Texts, np.array(self._values, dtype=np.dtypes.StringDType()))


class VectorRows:
    """Items that are lists of numbers."""

    def __init__(self, name: str, place: Place, tally: Tally) -> None:
        self._name = name
        self._place = place
        self._tally = tally
        self._values: list[NDArray[np.float32] | None] = []

    def add(self, value: object) -> None:
        where = self._place(len(self._values))
        self._values.append(None)
        if value is None:
            fix = f"remove these rows, or give each an item in `{self._name}`"
            self._tally.add(f"rows without `{self._name}`", where, fix)
        elif not isinstance(value, list):
            what = f"rows whose `{self._name}` is no list of numbers, unlike the first"
            fix = f"give `{self._name}` one type in all rows"
            self._tally.add(what, f"{where}: {type(value).__name__}", fix)
        elif odd := {type(each) for each in value} - {int, float}:
            names = ", ".join(sorted("null" if t is type(None) else t.__name__ for t in odd))
            what = f"rows whose `{self._name}` holds what is no number"
            fix = f"make `{self._name}` a flat list of numbers, without null, text or lists within"
            self._tally.add(what, f"{where}: {names}", fix)
        elif not 0 < len(value) <= MAX_AXIS:
            what = f"vectors of `{self._name}` of a length that is not 1 to {MAX_AXIS}"
            fix = "remove these rows, or repair what computed them"
            self._tally.add(what, f"{where}: {len(value)} numbers", fix)
        else:
            self._values[-1] = to_float32(np.array(value, dtype=np.float64))

    def skip(self) -> None:
        """Keeps the place of a row that is refused as a whole."""
        self._values.append(None)

    def finish(self) -> NDArray[np.float32] | None:
        """[N, D]; None when a row was refused, or has another length than most."""
        lengths = Counter(len(each) for each in self._values if each is not None)
        if not lengths:
            return None
        usual, _ = lengths.most_common(1)[0]
        for row, each in enumerate(self._values):
            if each is not None and len(each) != usual:
                what = f"vectors of `{self._name}` that do not have {usual} numbers like most"
                example = f"{self._place(row)}: {len(each)} numbers"
                self._tally.add(what, example, "give all vectors one length")
        whole = [each for each in self._values if each is not None and len(each) == usual]
        return np.stack(whole) if len(whole) == len(self._values) else None


def to_float32(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Beyond float32 a number becomes infinite, which the checks of values then find."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)
