"""The drawings of the demo's data set: two scripts, and one set added to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples.glyphs.render import HAN, KANA, DrawingSet, add, write

pytestmark = pytest.mark.unit


def drawings(*ids: str) -> DrawingSet:
    inputs = np.full((len(ids), 32, 32), 7, dtype=np.uint8)
    labels = [chr(int(each[2 : each.index("/")], 16)) for each in ids]
    return DrawingSet(inputs, np.array(labels), np.array(ids))


def test_kana_are_no_han_and_none_is_drawn_like_another() -> None:
    assert not set(KANA) & set(HAN)
    assert len(KANA) == len(set(KANA)) > 130
    assert "へ" not in map(chr, KANA)
    assert "ヘ" in map(chr, KANA)


def test_only_drawings_that_a_set_lacks_are_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = tmp_path / "set.npz", tmp_path / "kana.npz"
    write(ours, drawings("U+4E00/a", "U+4E00/b"))
    write(theirs, drawings("U+30A2/a", "U+4E00/b"))
    add(ours, theirs)
    together = DrawingSet.read(ours)
    assert list(together.ids) == ["U+4E00/a", "U+4E00/b", "U+30A2/a"]
    assert list(together.labels) == ["一", "一", "ア"]
    assert together.inputs.shape == (3, 32, 32)
    before = ours.read_bytes()
    add(ours, theirs)
    assert ours.read_bytes() == before
    assert capsys.readouterr().out.splitlines()[1] == f"0 drawings added to the 3 of {ours}"
