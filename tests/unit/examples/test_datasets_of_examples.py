"""The data sets of examples/: what is drawn, which names count, what a licence forbids."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from examples.icons.__main__ import shared_names, training, write_licences, write_set
from examples.icons.drawing import SIDE, draw
from examples.icons.sources import VERSIONS, IconSet, read
from examples.places.names import MAX_BYTES, distinct, script
from examples.workspace import ExampleError, ImageSet, write_config
from lockstep_core.artifacts import ArtifactStore
from lockstep_core.datasets import split
from lockstep_core.datasets.loading import load_dataset
from lockstep_core.protocol.datasets import SplitBy

pytestmark = pytest.mark.unit

SQUARE = '<path d="M4 4h16v16H4z" fill="currentColor"/>'
BOX = (0.0, 0.0, 24.0, 24.0)


def package(folder: Path, prefix: str, licence: str) -> Path:
    place = folder / prefix
    place.mkdir()
    info = {"prefix": prefix, "name": prefix.title(), "license": {"title": "x", "spdx": licence}}
    icons = {
        "height": 24,
        "width": 24,
        "icons": {
            "home": {"body": SQUARE},
            "wide": {"body": SQUARE, "width": 48},
            "old": {"body": SQUARE, "hidden": True},
        },
        "aliases": {"house": {"parent": "home"}},
    }
    (place / "info.json").write_text(json.dumps(info))
    (place / "icons.json").write_text(json.dumps(icons))
    return place


def test_a_package_is_read_without_aliases_and_hidden_icons(tmp_path: Path) -> None:
    found = read(package(tmp_path, "tabler", "MIT"))
    assert found.icons == {"home": (SQUARE, BOX), "wide": (SQUARE, (0.0, 0.0, 48.0, 24.0))}
    assert (found.version, found.licence) == (VERSIONS["tabler"], "MIT")


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "GPL-3.0", "GPL-2.0-or-later"])
def test_a_licence_that_is_not_free_is_refused(tmp_path: Path, licence: str) -> None:
    with pytest.raises(ExampleError, match=f"tabler is under {licence}"):
        read(package(tmp_path, "tabler", licence))


def test_ink_is_white_whatever_its_colour_and_a_wide_icon_keeps_its_shape() -> None:
    black, white = (draw(SQUARE.replace("currentColor", each), BOX) for each in ("#000", "#fff"))
    assert black is not None and white is not None
    assert black.shape == (SIDE, SIDE) and (black == white).all()
    assert (int(black[16, 16]), int(black[0, 0])) == (255, 0)
    wide = draw(SQUARE, (0.0, 0.0, 48.0, 24.0))
    # 16 of 48 units are 11 of 32 pixels, both ways.
    assert wide is not None
    rows, columns = np.nonzero(wide > 128)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1 and 9 <= np.ptp(rows) <= 11
    assert draw('<path d=""/>', BOX) is None


def test_names_count_that_enough_sets_have() -> None:
    sets = [
        IconSet("a", "A", "1", "MIT", "", {"home": (SQUARE, BOX), "bolt": (SQUARE, BOX)}),
        IconSet("b", "B", "1", "MIT", "", {"home": (SQUARE, BOX)}),
    ]
    assert shared_names(sets, 2) == ["home"]
    assert shared_names(sets, 1) == ["bolt", "home"]


@pytest.mark.parametrize("by", [SplitBy.CLASS, SplitBy.GROUP])
def test_what_is_written_is_what_the_trainer_reads(tmp_path: Path, by: SplitBy) -> None:
    names = ("home", "bolt", "star", "moon")
    sets = [
        IconSet(prefix, prefix, "1", "MIT", "", dict.fromkeys(names, (SQUARE, BOX)))
        for prefix in ("a", "b", "c", "d", "e")
    ]
    assert write_set(sets, tmp_path / "icons.npz", 5) == 20
    write_licences(sets, tmp_path / "LICENCES.txt")
    assert (tmp_path / "LICENCES.txt").read_text().count("MIT") == 5
    config = write_config(tmp_path / "icons.json", training(by))
    store = ArtifactStore.open(config.artifacts)
    found = load_dataset(config.training.data, store, tmp_path)
    assert found.groups is not None
    train, held_out = split(found, config.training.data.split)
    of = found.labels if by is SplitBy.CLASS else found.groups
    assert not set(of[train]) & set(of[held_out])
    assert len(train) + len(held_out) == 20


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    with ImageSet(8, tmp_path) as images, pytest.raises(ValueError, match="odd: uint8"):
        images.add(np.zeros((9, 8), np.uint8), label="a", name="odd", group="g")


def test_names_of_a_place_differ_by_more_than_case() -> None:
    assert distinct(
        ["Paris", "paris", " PARIS ", "Париж", "巴黎", "75", "x" * (MAX_BYTES + 1)]
    ) == [
        "PARIS",
        "Париж",
        "巴黎",
    ]


def test_scripts_are_called_as_unicode_does() -> None:
    assert [script(name) for name in ("Paris", "'Париж", "巴黎")] == ["LATIN", "CYRILLIC", "CJK"]
