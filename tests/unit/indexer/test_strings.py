from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep_indexer.strings import open_column, write_column

pytestmark = pytest.mark.unit

# Anything that encodes: lone surrogates cannot come out of a data set's UTF-8 or unicode arrays.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.lists(TEXT, max_size=30))
def test_what_is_written_is_read(tmp_path: Path, values: list[str]) -> None:
    write_column(tmp_path, "ids", values)
    column = open_column(tmp_path, "ids")
    assert [column[row] for row in range(len(column))] == values


@pytest.mark.parametrize("row", [-1, 3, 2**40])
def test_a_row_outside_is_refused_and_never_wraps(tmp_path: Path, row: int) -> None:
    write_column(tmp_path, "ids", ["a", "b", "c"])
    with pytest.raises(IndexError, match=str(row)):
        open_column(tmp_path, "ids")[row]


def test_the_column_is_mapped_not_read(tmp_path: Path) -> None:
    write_column(tmp_path, "ids", ["a", "b"])
    column = open_column(tmp_path, "ids")
    assert isinstance(column.data, np.memmap) and isinstance(column.offsets, np.memmap)


@pytest.mark.parametrize(
    "offsets",
    [[0, 9], [1, 3], [0, 2, 1, 3], [0, 2], []],
    ids=["too-far", "not-from-0", "backwards", "too-short", "empty"],
)
def test_offsets_that_do_not_divide_the_bytes_are_refused(
    tmp_path: Path, offsets: list[int]
) -> None:
    write_column(tmp_path, "ids", ["ab", "c"])
    np.save(tmp_path / "ids.offsets.npy", np.array(offsets, dtype="<i8"))
    with pytest.raises(ValueError, match=r"ids\.offsets\.npy does not divide"):
        open_column(tmp_path, "ids")


def test_a_pickled_column_is_refused(tmp_path: Path) -> None:
    write_column(tmp_path, "ids", ["ab", "c"])
    np.save(tmp_path / "ids.npy", np.array(["ab", "c"], dtype=object))
    with pytest.raises(ValueError, match=r"memory-mapped|pickle"):
        open_column(tmp_path, "ids")
