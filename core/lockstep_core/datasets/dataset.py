"""A labelled set of items in memory, and the checks that hold for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import InputKind, InputSpec
from lockstep_core.datasets.problems import Problem, problem
from lockstep_core.protocol.base import Sha256

Inputs = NDArray[np.uint8] | NDArray[np.float32]
Strings = NDArray[np.str_]

MAX_NAME = 512
_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Dataset:
    """`inputs`: uint8 [N, H, W] or [N, H, W, C], or float32 [N, D]. `labels`, `ids`: text [N].

    `digest` is of the bytes as stored (see `DatasetSpec.digest`). Without labels `labels` is empty
    text.
    """

    inputs: Inputs
    labels: Strings
    ids: Strings
    digest: Sha256

    def __len__(self) -> int:
        return len(self.inputs)

    def input_spec(self) -> InputSpec:
        """One item, as an encoder that is trained on this set takes it."""
        kind = InputKind.IMAGE if self.inputs.dtype == np.uint8 else InputKind.VECTOR
        return InputSpec(
            kind=kind,
            shape=self.inputs.shape[1:],
            dtype="uint8" if kind is InputKind.IMAGE else "float32",
        )


def input_layout_problems(dtype: np.dtype[Any], shape: tuple[int, ...]) -> list[Problem]:
    """Dtype and shape of `inputs`, judged before any of it is loaded."""
    if not shape or shape[0] == 0:
        return [problem("`inputs` is empty", (), "put at least one item into the set", count=1)]
    if 0 in shape:
        return [_layout(dtype, shape, "remove the axis of length 0, or fill it")]
    if dtype == np.uint8:
        if len(shape) not in (3, 4):
            return [_layout(dtype, shape, "give images as uint8 [N,H,W] or [N,H,W,C]")]
        if len(shape) == 4 and shape[3] not in (1, 3):
            return [_layout(dtype, shape, "give images 1 or 3 channels, as the last axis")]
        return []
    if dtype == np.float32:
        if len(shape) != 2:
            return [_layout(dtype, shape, "give vectors as float32 [N,D], images as uint8")]
        return []
    fix = "store images as uint8 (0 to 255), vectors as little-endian float32 (.astype('<f4'))"
    return [_layout(dtype, shape, fix)]


def _layout(dtype: np.dtype[Any], shape: tuple[int, ...], fix: str) -> Problem:
    return problem(f"`inputs` is {dtype.str} {list(shape)}", (), fix, count=1)


def value_problems(inputs: Inputs) -> list[Problem]:
    """NaN and infinity, by row."""
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
    return [problem("rows of `inputs` with NaN or infinity", _rows(rows), fix, count=rows.size)]


def name_problems(name: str, values: Strings, *, may_be_empty: bool = False) -> list[Problem]:
    """Empty, overlong or invalid text in `labels` or `ids`."""
    invalid = np.flatnonzero(_not_unicode(values))
    if invalid.size:
        fix = f"store `{name}` as valid Unicode"
        # Nothing else can be said of such text: even comparing it may fail.
        return [problem(f"rows with invalid `{name}`", _rows(invalid), fix, count=invalid.size)]
    found = []
    control = np.flatnonzero(_has_control(values))
    if control.size:
        fix = f"remove line breaks, NUL and other control characters from `{name}`"
        what = f"rows with control characters in `{name}`"
        found.append(problem(what, _rows(control), fix, count=control.size))
    empty = np.flatnonzero(np.char.str_len(np.char.strip(values)) == 0)
    if empty.size and not may_be_empty:
        fix = f"give each row a text in `{name}`"
        found.append(problem(f"rows with empty `{name}`", _rows(empty), fix, count=empty.size))
    long = np.flatnonzero(np.char.str_len(values) > MAX_NAME)
    if long.size:
        fix = f"shorten to at most {MAX_NAME} characters"
        found.append(problem(f"rows with overlong `{name}`", _rows(long), fix, count=long.size))
    return found


def _points(values: Strings) -> NDArray[np.uint32]:
    """Code points of each row [N, longest]; behind its end a row is zero."""
    return np.ascontiguousarray(values).view(np.uint32).reshape(len(values), -1)


def _has_control(values: Strings) -> NDArray[np.bool_]:
    """Rows with a C0 control or DEL: they break the lines of logs, lists and digests."""
    points = _points(values)
    after = np.logical_or.accumulate(points[:, ::-1] != 0, axis=1)[:, ::-1]
    return np.asarray((after & ((points < 0x20) | (points == 0x7F))).any(axis=1))


def _not_unicode(values: Strings) -> NDArray[np.bool_]:
    """Rows with a code point that UTF-8 cannot carry (a lone surrogate, or beyond U+10FFFF)."""
    points = _points(values)
    invalid = (points > 0x10FFFF) | ((points >= 0xD800) & (points <= 0xDFFF))
    return np.asarray(invalid.any(axis=1))


def duplicate_problems(ids: Strings) -> list[Problem]:
    """Search answers with ids, so two rows must not share one."""
    unique, counts = np.unique(ids, return_counts=True)
    repeated = unique[counts > 1]
    if not repeated.size:
        return []
    fix = "make `ids` unique, or leave them out to use row numbers"
    return [problem("`ids` that occur more than once", repeated, fix)]


def _rows(rows: NDArray[np.int64]) -> list[str]:
    return [f"row {row}" for row in rows[:5]]
