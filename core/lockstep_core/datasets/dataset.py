"""A labelled set of items in memory, and the checks that hold for every format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import InputKind, InputSpec
from lockstep_core.datasets.problems import Problem, problem
from lockstep_core.protocol.base import Sha256

Texts: TypeAlias = np.ndarray[tuple[Any, ...], np.dtypes.StringDType]
Inputs: TypeAlias = NDArray[np.uint8] | NDArray[np.float32] | Texts
Strings = NDArray[np.str_]

MAX_NAME = 512
MAX_TEXT = 65_536
"""Characters of one item: some 30 pages."""
MAX_AXIS = 65_536
"""Numbers of a vector, pixels of a side."""
_BLOCK_ROWS = 4096
_BLOCK_POINTS = 4_000_000

Place = Callable[[int], str]
"""How a person finds a row, counted from 0."""


def row_number(row: int) -> str:
    """Rows are counted from 0, as arrays are."""
    return f"row {row}"


@dataclass(frozen=True)
class Dataset:
    """`inputs`: images uint8 [N, H, W] or [N, H, W, C], vectors float32 [N, D], or texts [N] of
    `numpy.dtypes.StringDType()`. `labels`, `ids`, `groups`: text [N].

    `digest` is of the bytes as stored (see `DatasetSpec.digest`). Without labels `labels` is empty
    text; `groups` is there when `columns.group` names it.
    """

    inputs: Inputs
    labels: Strings
    ids: Strings
    digest: Sha256
    groups: Strings | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def input_spec(self) -> InputSpec:
        """One item, as an encoder that is trained on this set takes it."""
        if is_text(self.inputs):
            return InputSpec(kind=InputKind.TEXT, shape=(), dtype="text")
        kind = InputKind.IMAGE if self.inputs.dtype == np.uint8 else InputKind.VECTOR
        return InputSpec(
            kind=kind,
            shape=self.inputs.shape[1:],
            dtype="uint8" if kind is InputKind.IMAGE else "float32",
        )


def is_text(inputs: Inputs) -> TypeGuard[Texts]:
    """Whether the items are texts."""
    return inputs.dtype == np.dtypes.StringDType()


def input_layout_problems(
    dtype: np.dtype[Any], shape: tuple[int, ...], name: str = "inputs"
) -> list[Problem]:
    """Dtype and shape of the items, judged before any of it is loaded."""
    if not shape or shape[0] == 0:
        return [problem(f"`{name}` is empty", (), "put at least one item into the set", count=1)]
    if 0 in shape:
        return [_layout(name, dtype, shape, "remove the axis of length 0, or fill it")]
    if max(shape[1:], default=0) > MAX_AXIS:
        return [_layout(name, dtype, shape, f"keep each axis of an item at most {MAX_AXIS} long")]
    if dtype == np.uint8:
        if len(shape) not in (3, 4):
            return [_layout(name, dtype, shape, "give images as uint8 [N,H,W] or [N,H,W,C]")]
        if len(shape) == 4 and shape[3] not in (1, 3):
            return [_layout(name, dtype, shape, "give images 1 or 3 channels, as the last axis")]
        return []
    if dtype == np.float32:
        if len(shape) != 2:
            return [_layout(name, dtype, shape, "give vectors as float32 [N,D], images as uint8")]
        return []
    if dtype.kind == "U":
        if len(shape) != 1:
            return [_layout(name, dtype, shape, "give texts as an array of text [N]")]
        return []
    fix = (
        "store images as uint8 (0 to 255), vectors as little-endian float32 (.astype('<f4')), texts"
        " as numpy text (.astype(str))"
    )
    return [_layout(name, dtype, shape, fix)]


def _layout(name: str, dtype: np.dtype[Any], shape: tuple[int, ...], fix: str) -> Problem:
    return problem(f"`{name}` is {dtype.str} {list(shape)}", (), fix, count=1)


def value_problems(
    inputs: Inputs, name: str = "inputs", place: Place = row_number
) -> list[Problem]:
    """NaN and infinity in vectors, and what makes a text no item; by row."""
    if is_text(inputs):
        return _text_problems(inputs, name, place)
    if inputs.dtype == np.uint8:
        return []
    bad = np.concatenate(
        [
            ~np.isfinite(inputs[start : start + _BLOCK_ROWS]).all(axis=1)
            for start in range(0, len(inputs), _BLOCK_ROWS)
        ]
    )
    rows = np.flatnonzero(bad)
    if not rows.size:
        return []
    fix = "remove these rows, or repair what computed them"
    what = f"rows of `{name}` with NaN or infinity"
    return [problem(what, _places(rows, place), fix, count=rows.size)]


def _text_problems(texts: Texts, name: str, place: Place) -> list[Problem]:
    problems = []
    for what, bad, fix in (
        (
            f"rows with empty text in `{name}`",
            np.strings.str_len(np.strings.strip(texts)) == 0,
            "remove these rows, or give each a text",
        ),
        (
            f"texts of `{name}` longer than {MAX_TEXT} characters",
            np.strings.str_len(texts) > MAX_TEXT,
            "shorten them, or split each into several rows of its class",
        ),
        (
            f"texts of `{name}` with a NUL character",
            # numpy takes NUL for the end of what it is to find.
            np.fromiter(("\0" in text for text in texts), np.bool_, len(texts)),
            "remove the character: it is what texts are padded with",
        ),
    ):
        rows = np.flatnonzero(bad)
        if rows.size:
            problems.append(problem(what, _places(rows, place), fix, count=rows.size))
    return problems


def as_texts(values: Strings, name: str) -> tuple[Texts | None, list[Problem]]:
    """`values` without their padding; or the rows that are no Unicode."""
    native = values.astype(values.dtype.newbyteorder("="))
    invalid = np.flatnonzero(_by_blocks(native, _not_unicode))
    if invalid.size:
        fix = f"store `{name}` as valid Unicode"
        what = f"rows with invalid text in `{name}`"
        return None, [problem(what, _places(invalid, row_number), fix, count=invalid.size)]
    return cast(Texts, native.astype(np.dtypes.StringDType())), []


def name_problems(
    name: str, values: Strings, *, may_be_empty: bool = False, place: Place = row_number
) -> list[Problem]:
    """Empty, overlong or invalid text in `labels` or `ids`."""
    invalid = np.flatnonzero(_by_blocks(values, _not_unicode))
    if invalid.size:
        fix = f"store `{name}` as valid Unicode"
        # Nothing else can be said of such text: even comparing it may fail.
        return [
            problem(f"rows with invalid `{name}`", _places(invalid, place), fix, count=invalid.size)
        ]
    problems = []
    control = np.flatnonzero(_by_blocks(values, _has_control))
    if control.size:
        fix = f"remove line breaks, NUL and other control characters from `{name}`"
        what = f"rows with control characters in `{name}`"
        problems.append(problem(what, _places(control, place), fix, count=control.size))
    empty = np.flatnonzero(np.char.str_len(np.char.strip(values)) == 0)
    if empty.size and not may_be_empty:
        fix = f"give each row a text in `{name}`"
        problems.append(
            problem(f"rows with empty `{name}`", _places(empty, place), fix, count=empty.size)
        )
    long = np.flatnonzero(np.char.str_len(values) > MAX_NAME)
    if long.size:
        fix = f"shorten to at most {MAX_NAME} characters"
        problems.append(
            problem(f"rows with overlong `{name}`", _places(long, place), fix, count=long.size)
        )
    return problems


def _by_blocks(
    values: Strings, judge: Callable[[NDArray[np.uint32]], NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """What `judge` says of code points [n, longest], of all rows; behind its end a row is zero."""
    whole = np.ascontiguousarray(values)
    width = whole.dtype.itemsize // 4
    step = max(1, _BLOCK_POINTS // max(1, width))
    blocks = [
        judge(whole[start : start + step].view(np.uint32).reshape(-1, width))
        for start in range(0, len(whole), step)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.bool_)


def _has_control(points: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Rows with a C0 control or DEL: they break the lines of logs, lists and digests."""
    after = np.logical_or.accumulate(points[:, ::-1] != 0, axis=1)[:, ::-1]
    return np.asarray((after & ((points < 0x20) | (points == 0x7F))).any(axis=1))


def _not_unicode(points: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Rows with a code point that UTF-8 cannot carry (a lone surrogate, or beyond U+10FFFF)."""
    invalid = (points > 0x10FFFF) | ((points >= 0xD800) & (points <= 0xDFFF))
    return np.asarray(invalid.any(axis=1))


def duplicate_problems(ids: Strings, name: str = "ids") -> list[Problem]:
    """Search answers with ids, so two rows must not share one."""
    unique, counts = np.unique(ids, return_counts=True)
    repeated = unique[counts > 1]
    if not repeated.size:
        return []
    fix = f"make `{name}` unique, or leave it out to use row numbers"
    return [problem(f"`{name}` that occur more than once", repeated, fix)]


def _places(rows: NDArray[np.int64], place: Place) -> list[str]:
    return [place(int(row)) for row in rows[:5]]
