"""Items that are files of images, row by row into one array of pixels."""

from __future__ import annotations

from codecs import getincrementaldecoder

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Place
from lockstep_core.datasets.images import (
    MAX_FILE_BYTES,
    MODES,
    ImageError,
    Layout,
    layout_problems,
    opened,
)
from lockstep_core.datasets.problems import MAX_EXAMPLES, DatasetError, Problem, Tally, problem
from lockstep_core.datasets.rows import AS_TEXT, MAX_BYTES
from lockstep_core.protocol.artifacts import PixelReading

_REPLACE = "replace or remove these rows: PNG and JPEG are read"
_EMBED = (
    "write the bytes of the files, too; in the library `datasets`:"
    " dataset.with_format('arrow').map(datasets.table.embed_table_storage, batched=True)"
    ".to_parquet(...)"
)
_LOOKED_AT = 4096


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
