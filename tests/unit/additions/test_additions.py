"""What an addition costs: the page names the files that a toy of each touches, and it works."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.unit.additions import page
from tests.unit.additions.copies import check, copy_with
from tests.unit.additions.edits import Addition, Edit, after

pytestmark = pytest.mark.unit

NAMES = sorted(path.stem for path in (Path(__file__).parent / "checks").glob("*.py"))
ADDITIONS: dict[str, Addition] = {
    name: import_module(f"tests.unit.additions.{name}").ADDITION for name in NAMES
}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_the_files_of_the_toy_and_their_number(name: str) -> None:
    addition = ADDITIONS[name]
    row = page.rows()[addition.what]
    assert row.files == addition.files
    assert row.number == len(addition.files)
    assert row.beside == addition.files_beside
    assert row.proof == f"additions/{name}.py"


def test_every_row_of_the_page_has_its_toy() -> None:
    assert page.rows().keys() == {addition.what for addition in ADDITIONS.values()}
    assert len(ADDITIONS) == 8


@pytest.mark.parametrize("name", NAMES)
def test_the_anchors_of_the_toy_are_there(name: str, tmp_path: Path) -> None:
    """The sources of a toy alone: no program starts."""
    for change in ADDITIONS[name].all():
        target = tmp_path / change.path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(change, Edit):
                target.write_text((page.ROOT / change.path).read_text())
        change.apply(tmp_path)


@pytest.mark.parametrize("text", ["a = 1\n", "b\nb\n"])
def test_an_anchor_that_is_not_there_once_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.py").write_text(text)
    with pytest.raises(ValueError, match=r"x\.py has this anchor \d times, must be once:\nb\n"):
        after("x.py", "b", "c").apply(tmp_path)


@pytest.mark.programs
@pytest.mark.parametrize("name", NAMES)
def test_the_toy_works(name: str, tmp_path: Path) -> None:
    done = check(copy_with(ADDITIONS[name], tmp_path), name)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
