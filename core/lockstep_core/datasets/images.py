"""Images: one folder a class; and the limits under which any image is decoded."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lockstep_core.artifacts import sha256_bytes, sha256_file
from lockstep_core.datasets.problems import DatasetError, Problem, problem
from lockstep_core.datasets.shown import SWAPPING, clear_of, on_white, turn_of
from lockstep_core.protocol.artifacts import PixelReading
from lockstep_core.protocol.base import Sha256

FORMATS = ("PNG", "JPEG")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
# Mode, width and height.
Layout = tuple[str, int, int]
MODES = {"L": (), "RGB": (3,)}
# A 4096 x 4096 image. Beyond it a few hundred bytes of PNG could claim gigabytes.
MAX_PIXELS = 4096 * 4096
MAX_BYTES = 16 * 1024**3
# More than such an image takes without any compression.
MAX_FILE_BYTES = 4 * MAX_PIXELS


class ImageError(Exception):
    """The bytes are no image that is accepted."""


class Picture:
    """An image within the pixel limit; `layout` is told by its header, `pixels` decodes it."""

    def __init__(self, image: Image.Image, reading: PixelReading) -> None:
        self._image = image
        shown = reading is PixelReading.AS_SHOWN
        self._turn = turn_of(image) if shown else None
        self._clear = clear_of(image) if shown else None
        across, down = image.size
        size = (down, across) if self._turn in SWAPPING else (across, down)
        self.layout: Layout = (image.mode, *size)

    def pixels(self) -> NDArray[np.uint8]:
        """uint8 [H, W] or [H, W, 3] of a mode of `MODES`."""
        image = self._image if self._turn is None else self._image.transpose(self._turn)
        pixels = np.asarray(image, dtype=np.uint8)
        return pixels if self._clear is None else on_white(pixels, self._clear)


@contextmanager
def opened(source: Path | bytes, reading: PixelReading) -> Iterator[Picture]:
    """A PNG or JPEG within the pixel limit, not yet decoded. Raises ImageError."""
    file: Path | IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{image.width}x{image.height} pixels exceed {MAX_PIXELS}")
            yield Picture(image, reading)
    except UnidentifiedImageError as error:
        raise ImageError("neither PNG nor JPEG") from error
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ImageError(str(error) or type(error).__name__) from error


@dataclass(frozen=True)
class ImageFile:
    """One image of a folder; `name` is `class/file`, `sha256` that of its bytes when it was found.

    A name that UTF-8 cannot carry is kept escaped, as Python has it.
    """

    name: str
    label: str
    path: Path
    sha256: Sha256


@dataclass(frozen=True)
class Folder:
    """What a folder holds: images, and everything that is wrong with its layout."""

    images: tuple[ImageFile, ...]
    problems: tuple[Problem, ...]


def scan(root: Path) -> Folder:
    """Lists and hashes `root/<class>/<image>`, in a fixed order; ignores names with a dot first."""
    wrong: dict[str, list[str]] = {}
    images: list[ImageFile] = []
    for entry in _visible(root):
        name = entry.name
        if _leaves(entry, root):
            wrong.setdefault("link", []).append(name)
        elif not entry.is_dir():
            wrong.setdefault("stray", []).append(name)
        else:
            files = list(_files_of(entry, root, wrong))
            images += files
            if not files:
                wrong.setdefault("empty", []).append(name)
    problems = tuple(
        problem(*_WRONG[kind][:1], names, _WRONG[kind][1]) for kind, names in wrong.items()
    )
    return Folder(tuple(images), problems)


_WRONG = {
    "link": ("links that lead out of the set, or nowhere", "copy the files into the set"),
    "stray": ("files beside the class folders", "move each into the folder of its class"),
    "empty": ("class folders without an image", "add images, or remove the folder"),
    "nested": ("folders inside of a class folder", "keep the images of a class in one folder"),
    "special": ("neither files nor folders (pipes, sockets, devices)", "remove them"),
    "foreign": ("files that are neither PNG nor JPEG by name", "convert or remove them"),
}


def _files_of(folder: Path, root: Path, wrong: dict[str, list[str]]) -> Iterator[ImageFile]:
    for file in _visible(folder):
        name = f"{folder.name}/{file.name}"
        if _leaves(file, root):
            wrong.setdefault("link", []).append(name)
        elif file.is_dir():
            wrong.setdefault("nested", []).append(name)
        elif not file.is_file():
            # Opening a pipe would wait for ever.
            wrong.setdefault("special", []).append(name)
        elif file.suffix.lower() not in SUFFIXES:
            wrong.setdefault("foreign", []).append(name)
        else:
            yield ImageFile(name, folder.name, file, sha256_file(file))


def _visible(folder: Path) -> Iterable[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _leaves(path: Path, root: Path) -> bool:
    return path.is_symlink() and not (
        path.exists() and path.resolve().is_relative_to(root.resolve())
    )


def read_images(
    images: tuple[ImageFile, ...],
    *,
    reading: PixelReading = PixelReading.AS_SHOWN,
    max_bytes: int = MAX_BYTES,
) -> tuple[NDArray[np.uint8] | None, list[Problem]]:
    """Pixels [N, H, W] or [N, H, W, 3] of images that all have one size and mode, or the problems.

    Headers are read first, so that nothing large is decoded for a set that is refused. What is
    decoded are the very bytes that were hashed: a file that changed since is a problem.
    """
    layouts, problems = _layouts(images, reading)
    if problems or not layouts:
        return None, problems
    mode, width, height = layouts[0]
    shape = (len(images), height, width, *MODES[mode])
    if (total := int(np.prod(shape, dtype=object))) > max_bytes:
        fix = f"keep the set below {max_bytes} bytes of pixels: smaller images, or a part of them"
        return None, [problem(f"the images decode to {total} bytes", (), fix, count=len(images))]
    decoded = np.empty(shape, dtype=np.uint8)
    broken: list[str] = []
    for row, image in enumerate(images):
        data = image.path.read_bytes()
        if sha256_bytes(data) != image.sha256:
            broken.append(f"{image.name}: changed while the set was read")
            continue
        try:
            with opened(data, reading) as picture:
                decoded[row] = picture.pixels()
        except ImageError as error:
            broken.append(f"{image.name}: {error}")
    if broken:
        return None, [problem("images that cannot be decoded", broken, _REPAIR)]
    return decoded, []


_REPAIR = "replace or remove these files"


def _layouts(
    images: tuple[ImageFile, ...], reading: PixelReading
) -> tuple[list[Layout], list[Problem]]:
    """Mode, width and height of each image; problems where they are refused or differ."""
    layouts: list[Layout] = []
    broken: list[str] = []
    for image in images:
        if (size := image.path.stat().st_size) > MAX_FILE_BYTES:
            broken.append(f"{image.name}: {size} bytes exceed {MAX_FILE_BYTES}")
            continue
        try:
            with opened(image.path, reading) as picture:
                layouts.append(picture.layout)
        except ImageError as error:
            broken.append(f"{image.name}: {error}")
    problems = [problem("images that cannot be opened", broken, _REPAIR)] if broken else []
    if not layouts or broken:
        return layouts, problems
    return layouts, layout_problems([image.name for image in images], layouts)


def layout_problems(names: Sequence[str], layouts: Sequence[Layout]) -> list[Problem]:
    """Images whose mode is refused, or whose mode and size are not those of most."""
    described = [
        (name, f"{mode} {width}x{height}", mode)
        for name, (mode, width, height) in zip(names, layouts, strict=True)
    ]
    problems = []
    if odd := [f"{name}: {mode}" for name, _, mode in described if mode not in MODES]:
        fix = "convert all images to 8-bit greyscale (L) or to RGB"
        problems.append(problem("images of a mode that is not accepted", odd, fix))
    usual, _ = Counter(layout for _, layout, _ in described).most_common(1)[0]
    if mixed := [f"{name}: {layout}" for name, layout, _ in described if layout != usual]:
        fix = "bring all images to one size and mode before training"
        problems.append(problem(f"images that are not {usual} like most", mixed, fix))
    return problems


def require_images(folder: Folder) -> None:
    """Raises DatasetError when there is nothing to read."""
    if not folder.images:
        fix = "put images into one folder per class: <set>/<class>/<image>.png"
        nothing = problem("the set holds no image", (), fix, count=1)
        raise DatasetError([*folder.problems, nothing])
