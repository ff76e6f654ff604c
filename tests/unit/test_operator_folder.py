"""`operator/` must stay a plain folder: as a package it would hide Python's own `operator`."""

from __future__ import annotations

import operator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

FOLDER = Path(__file__).parents[2] / "operator"


def test_the_standard_library_wins() -> None:
    assert operator.itemgetter(1)("ab") == "b"
    assert Path(operator.__file__).parent != FOLDER


def test_nothing_in_the_folder_makes_it_a_package() -> None:
    assert not (FOLDER / "__init__.py").exists()
    forbidden = [*FOLDER.rglob("conftest.py"), *FOLDER.rglob("test_*.py")]
    assert forbidden == []
