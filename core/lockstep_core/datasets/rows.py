"""Columns that grow row by row, under limits, from files that may hold anything.

Each keeps a place for a row that is refused, so that the number of a row stays what it is in the
file.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections import Counter
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import MAX_AXIS, MAX_NAME, MAX_TEXT, Place, Strings, Texts
from lockstep_core.datasets.images import (
    MAX_FILE_BYTES,
    MODES,
    ImageError,
    Layout,
    layout_problems,
    opened,
)
from lockstep_core.datasets.problems import MAX_EXAMPLES, DatasetError, Problem, Tally, problem
from lockstep_core.protocol.artifacts import PixelReading

MAX_BYTES = 16 * 1024**3
MAX_NAME_BYTES = 4 * 1024**3
MAX_ROWS = 100_000_000
AS_TEXT = (
    "cast the column to pyarrow.string() before it is written; fastparquet does with"
    " object_encoding='utf8'"
)
_EMBED = (
    "write the bytes of the files, too; in the library `datasets`:"
    " dataset.with_format('arrow').map(datasets.table.embed_table_storage, batched=True)"
    ".to_parquet(...)"
)
_REPLACE = "replace or remove these rows: PNG and JPEG are read"
_LOOKED_AT = 4096


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


class ImageRows:
    """Items that are PNG or JPEG bytes; decoded as they come, all of one size and mode."""

    def __init__(
        self,
        name: str,
        rows: int,
        place: Place,
        tally: Tally,
        max_bytes: int = MAX_BYTES,
        *,
        reading: PixelReading = PixelReading.AS_SHOWN,
    ) -> None:
        self._name = name
        self._reading = reading
        self._rows = rows
        self._place = place
        self._tally = tally
        self._max_bytes = max_bytes
        self._places: list[str] = []
        self._layouts: list[Layout] = []
        self._pixels: NDArray[np.uint8] | None = None
        self._texts = 0
        self._first_texts: list[str] = []
        self._count = 0
        self._complete = True

    def add(self, value: bytes | None) -> None:
        row, self._count = self._count, self._count + 1
        where = self._place(row)
        try:
            if value is None:
                raise ImageError("nothing there")
            if len(value) > MAX_FILE_BYTES:
                raise ImageError(f"{len(value)} bytes exceed {MAX_FILE_BYTES}")
            with opened(value, self._reading) as picture:
                layout = picture.layout
                self._places.append(where)
                self._layouts.append(layout)
                if layout == self._layouts[0] and layout[0] in MODES:
                    self._room(layout)[row] = picture.pixels()
        except ImageError as error:
            self._complete = False
            if value is not None and _is_text(value):
                self._texts += 1
                if len(self._first_texts) < MAX_EXAMPLES:
                    self._first_texts.append(where)
                return
            self._tally.add(self._broken, f"{where}: {error}", _REPLACE)

    @property
    def _broken(self) -> str:
        return f"rows whose `{self._name}` cannot be decoded"

    def _text_problem(self) -> Problem:
        """Among images, what looks like text is a broken image; a column of nothing else is
        text that was written without its type."""
        if self._layouts:
            broken = [f"{where}: neither PNG nor JPEG" for where in self._first_texts]
            return problem(self._broken, broken, _REPLACE, count=self._texts)
        what = f"rows whose `{self._name}` is text in a column of bytes"
        fix = f"write it as text: {AS_TEXT}"
        return problem(what, self._first_texts, fix, count=self._texts)

    def refuse_path(self) -> None:
        """One more row, with the path of a file in place of its bytes."""
        self._complete = False
        what = f"rows whose `{self._name}.bytes` is null: they may name a file, but do not hold it"
        self._tally.add(what, self._place(self._count), _EMBED)
        self._count += 1

    def _room(self, layout: Layout) -> NDArray[np.uint8]:
        if self._pixels is None:
            mode, width, height = layout
            shape = (self._rows, height, width, *MODES[mode])
            if (total := int(np.prod(shape, dtype=object))) > self._max_bytes:
                fix = f"keep the set below {self._max_bytes} bytes of pixels: smaller images, or"
                what = f"the images of `{self._name}` decode to {total} bytes"
                raise DatasetError([problem(what, (), f"{fix} a part of them", count=self._rows)])
            self._pixels = np.empty(shape, dtype=np.uint8)
        return self._pixels

    def finish(self) -> tuple[NDArray[np.uint8] | None, list[Problem]]:
        """[N, H, W] or [N, H, W, 3]; None when a row was refused, or is unlike most."""
        problems = layout_problems(self._places, self._layouts) if self._layouts else []
        if self._texts:
            problems.append(self._text_problem())
        whole = self._complete and not problems and self._count == self._rows
        return self._pixels if whole else None, problems


def _is_text(value: bytes) -> bool:
    """Whether the beginning is UTF-8 without control characters, which no image is."""
    try:
        # A character that the cut goes through is left out.
        text = getincrementaldecoder("utf-8")().decode(value[:_LOOKED_AT])
    except UnicodeDecodeError:
        return False
    return bool(text) and all(each.isprintable() or each.isspace() for each in text)
