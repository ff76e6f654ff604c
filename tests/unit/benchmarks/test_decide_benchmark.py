"""The comparison of two checkouts: its shape and its arithmetic, never a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import decide
from benchmarks.decide import ROOT, Side, compare, median_interval
from benchmarks.decide_snapshots import GROUPS, Sizes

pytestmark = pytest.mark.unit


def test_a_checkout_beside_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "LEAST_MS", 1.0)
    found = compare(ROOT, Sizes(models=2, releases=2), pairs=6)
    assert found["samePlans"] is True
    assert set(found["versions"]) == {"this", "other", "python", "pydantic"}
    assert found["versions"]["this"] == found["versions"]["other"]
    assert tuple(found["groups"]) == GROUPS
    assert [row["snapshots"] for row in found["groups"].values()][::2] == [2, 1]
    for row in found["groups"].values():
        low, high = row["interval95"]
        assert row["least"] <= low <= row["ratio"] <= high <= row["most"]
        assert row["pairs"] == 6 and row["thisMs"] > 0 and row["otherMs"] > 0
    decide.print_table(found)
    shown = capsys.readouterr().out
    assert "the same plans" in shown and all(group in shown for group in GROUPS)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=f"{tmp_path} is no checkout"),
        Side.start(tmp_path, tmp_path / "snapshots.json"),
    ):
        pass


@pytest.mark.parametrize(
    ("count", "bounds"),
    [(5, None), (6, (1.0, 6.0)), (9, (2.0, 8.0)), (20, (6.0, 15.0)), (40, (14.0, 27.0))],
)
def test_the_interval_of_a_median_is_that_of_the_sign_test(
    count: int, bounds: tuple[float, float] | None
) -> None:
    """The ranks of the usual tables: 6 to 15 of 20 values hold their median with 96%."""
    assert median_interval([float(n) for n in range(count, 0, -1)]) == bounds
