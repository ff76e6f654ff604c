"""`docs/release-machine.md` names functions and tests that exist, and misses no edge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.decide import edges

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "release-machine.md").read_text()
TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
DECIDE = ROOT / "operator" / "lockstep_operator" / "decide"
_ROW = re.compile(r"^\|(?: (\w+) \|)?.*\| `([\w/]+\.py):(\w+)` \| `(test_\w+)` \|$", re.MULTILINE)
ROWS = [match.groups() for match in _ROW.finditer(PAGE)]


def test_every_row_of_the_tables_was_read() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    headings = 3
    assert len(ROWS) + len(edges.told()) == len(rows) - headings
    assert len(ROWS) >= 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[3])
def test_the_function_and_the_test_of_a_row_exist(row: tuple[str, str, str, str]) -> None:
    edge, module, function, test = row
    source = (DECIDE / module).read_text()
    assert re.search(rf"^(def|class) {function}\b", source, re.MULTILINE)
    assert f"def {test}(" in TESTS
    if test.startswith("test_edge_"):
        assert test.startswith(f"test_edge_{edge}_")


def test_every_edge_that_has_a_test_has_a_row() -> None:
    tested = set(re.findall(r"def test_edge_([0-9]+b?)_", TESTS))
    assert tested == {edge for edge, *_, test in ROWS if test.startswith("test_edge_")}
