"""Folders of images: loaded as they are, or refused with every fault."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lockstep_core.datasets.images as images_module
from lockstep_core.artifacts import ArtifactError
from lockstep_core.datasets.images import read_images, scan
from tests.unit.core.support import Sets

pytestmark = pytest.mark.unit


def picture(
    folder: Path, name: str, *, mode: str = "L", size: tuple[int, int] = (6, 4), kind: str = "PNG"
) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 7 if mode in {"L", "P", "1"} else None).save(path, kind)
    return path


@pytest.fixture
def folder(volume: Path) -> Path:
    found = volume / "pictures"
    for name in ("a/1.png", "a/2.png", "b/1.PNG", "b/2.png"):
        picture(found, name)
    return found


def test_a_folder_is_loaded(sets: Sets, folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "a" / ".hidden").write_bytes(b"x")
    (folder / "b" / "3.png").symlink_to(folder / "a" / "1.png")
    found = sets.load(folder)
    assert found.inputs.shape == (5, 4, 6)
    assert (found.inputs == 7).all()
    assert found.labels.tolist() == list("aabbb")
    assert found.ids.tolist() == ["a/1.png", "a/2.png", "b/1.PNG", "b/2.png", "b/3.png"]
    assert sets.load(folder, found.digest).digest == found.digest
    picture(folder, "a/2.png", size=(4, 6))
    with pytest.raises(ArtifactError, match="not the one that was asked for"):
        sets.load(folder, found.digest)


def test_a_folder_of_colour_is_loaded(sets: Sets, volume: Path) -> None:
    picture(volume / "colour", "a/1.jpg", mode="RGB", kind="JPEG")
    picture(volume / "colour", "b/1.jpeg", mode="RGB", kind="JPEG")
    found = sets.load(volume / "colour")
    assert found.inputs.shape == (2, 4, 6, 3)
    assert found.input_spec().shape == (4, 6, 3)


def empty_folder(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        path.unlink()


def truncated_picture(folder: Path) -> None:
    random = np.random.default_rng(0).integers(0, 255, size=(4, 6), dtype=np.uint8)
    Image.fromarray(random).save(folder / "a/2.png")
    data = (folder / "a/2.png").read_bytes()
    (folder / "a/2.png").write_bytes(data[: len(data) - 30])


def bomb(folder: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(folder / "a/2.png")


def large(folder: Path) -> None:
    Image.new("1", (4097, 4096)).save(folder / "a/2.png")


def endless(folder: Path) -> None:
    with (folder / "a/2.png").open("ab") as file:
        file.truncate(images_module.MAX_FILE_BYTES + 1)


BAD_FOLDERS: list[tuple[str, Callable[[Path], object], str]] = [
    ("no image", empty_folder, "the set holds no image"),
    (
        "another size",
        lambda f: picture(f, "a/2.png", size=(4, 6)),
        "not L 6x4 like most: 1 (e.g. a/2.png: L 4x6)",
    ),
    ("another mode", lambda f: picture(f, "a/2.png", mode="RGB"), "a/2.png: RGB 6x4"),
    (
        "alpha",
        lambda f: picture(f, "a/2.png", mode="RGBA"),
        "mode that is not accepted: 1 (e.g. a/2.png: RGBA",
    ),
    ("palette", lambda f: picture(f, "a/2.png", mode="P"), "a/2.png: P"),
    ("16 bits", lambda f: picture(f, "a/2.png", mode="I;16"), "a/2.png: I;16"),
    ("one bit", lambda f: picture(f, "a/2.png", mode="1"), "a/2.png: 1"),
    ("text", lambda f: (f / "a/2.png").write_bytes(b"hello"), "a/2.png: neither PNG nor JPEG"),
    ("no bytes", lambda f: (f / "a/2.png").write_bytes(b""), "a/2.png: neither PNG nor JPEG"),
    ("a GIF by another name", lambda f: picture(f, "a/2.png", kind="GIF"), "neither PNG nor JPEG"),
    ("truncated", truncated_picture, "cannot be decoded: 1 (e.g. a/2.png"),
    ("a bomb", bomb, "a/2.png: Image size (400000000 pixels) exceeds"),
    ("large", large, "a/2.png: 4097x4096 pixels exceed"),
    (
        "other files",
        lambda f: (f / "a/notes.txt").write_bytes(b"x"),
        "by name: 1 (e.g. a/notes.txt)",
    ),
    (
        "files beside the classes",
        lambda f: picture(f, "1.png"),
        "beside the class folders: 1 (e.g. 1.png)",
    ),
    ("nested folders", lambda f: picture(f, "a/b/1.png"), "inside of a class folder: 1 (e.g. a/b)"),
    ("an empty class", lambda f: (f / "c").mkdir(), "class folders without an image: 1 (e.g. c)"),
    (
        "a link out of the set",
        lambda f: (f / "a/3.png").symlink_to("/etc/hostname"),
        "lead out of the set, or nowhere: 1 (e.g. a/3.png)",
    ),
    ("a class that is a link", lambda f: (f / "c").symlink_to("/etc"), "or nowhere: 1 (e.g. c)"),
    ("a pipe", lambda f: os.mkfifo(f / "a/3.png"), "pipes, sockets, devices): 1 (e.g. a/3.png)"),
    (
        "a name that is no text",
        lambda f: picture(f, "a/3.png").rename(f / os.fsdecode(b"a/\xff.png")),
        "rows with invalid `ids`: 1 (e.g. row 2)",
    ),
    (
        "a name of two lines",
        lambda f: picture(f, "a/x\ny.png"),
        "control characters in `ids`: 1 (e.g. row 2)",
    ),
    ("an endless file", endless, "a/2.png: 67108865 bytes exceed 67108864"),
    ("a link to nowhere", lambda f: (f / "a/3.png").symlink_to("missing.png"), "or nowhere: 1"),
]


@pytest.mark.parametrize(
    ("spoil", "said"), [row[1:] for row in BAD_FOLDERS], ids=[row[0] for row in BAD_FOLDERS]
)
def test_bad_folders_are_refused(
    sets: Sets, folder: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(folder)
    assert said in "; ".join(map(str, sets.problems(folder)))


def test_a_folder_with_many_faults_names_them_all(sets: Sets, folder: Path) -> None:
    picture(folder, "stray.png")
    picture(folder, "a/odd.png", size=(1, 1))
    (folder / "c").mkdir()
    text = "; ".join(map(str, sets.problems(folder)))
    for part in ("stray.png", "a/odd.png: L 1x1", "class folders without an image"):
        assert part in text


def test_a_picture_that_changes_while_the_set_is_read_is_named(folder: Path) -> None:
    listed = scan(folder).images
    Image.new("L", (6, 4), 8).save(folder / "a/2.png")
    decoded, problems = read_images(listed)
    assert decoded is None
    assert "a/2.png: changed while the set was read" in str(problems[0])


def test_images_that_would_fill_the_memory_are_refused(folder: Path) -> None:
    assert images_module.MAX_BYTES == 16 * 1024**3
    decoded, problems = read_images(scan(folder).images, max_bytes=95)
    assert decoded is None
    assert "decode to 96 bytes" in problems[0].what
