"""Draws characters in many fonts: class = character, item = one font's drawing of it.

The fonts come from Debian packages of the image. A font is drawn at 28 px, white on black, its ink
centred in 32 x 32. A drawing counts as missing when it is blank, or equals what the font draws for
an unassigned code point. Han characters are taken in a seeded order from U+4E00..U+9FFF as long as
enough fonts have them, so every run gives the same file. Kana are another script, which a model of
Han characters never saw.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE, POINTS, SEED = 32, 28, 0
HAN = range(0x4E00, 0xA000)
# Without small forms, and without the three that look alike in both syllabaries.
_SMALL = "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ"
KANA = tuple(
    code
    for block in (range(0x3041, 0x3095), range(0x30A1, 0x30F5))
    for code in block
    if chr(code) not in _SMALL + "へべぺ"
)
UNASSIGNED = ("\U0010fffd", "\ue5f0", "\u0378")
FACES = (
    *("uming.ttc", "ukai.ttc", "gkai00mp.ttf", "wqy-microhei.ttc", "wqy-zenhei.ttc"),
    *("ipaexg.ttf", "ipaexm.ttf", "VL-Gothic-Regular.ttf", "MTLc3m.ttf", "kiloji.ttf"),
    *("cwfs.ttf", "cwheib.ttf", "cwkai.ttf", "cwming.ttf", "cwyen.ttf"),
    *("sawarabi-gothic-medium.ttf", "sawarabi-mincho-medium.ttf", "ume-tgo4.ttf"),
    *("AoyagiKouzanT.ttf", "LXGWWenKai-Regular.ttf", "setofont.ttf", "SmileySans-Oblique.ttf"),
    *("dejima-mincho-r227.ttf", "Konatu.ttf"),
)

Drawing = NDArray[np.uint8]


class Face:
    """One font, and what it draws where it has no character."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._font = ImageFont.truetype(str(path), POINTS, layout_engine=ImageFont.Layout.BASIC)
        missing = [self._ink(character) for character in UNASSIGNED]
        self._missing = {drawing.tobytes() for drawing in missing if drawing is not None}

    def draw(self, character: str) -> Drawing | None:
        """uint8 [32, 32], or None when the font does not have the character."""
        drawing = self._ink(character)
        return None if drawing is None or drawing.tobytes() in self._missing else drawing

    def _ink(self, character: str) -> Drawing | None:
        left, top, right, bottom = self._font.getbbox(character)
        if right <= left or bottom <= top:
            return None
        image = Image.new("L", (SIDE, SIDE), 0)
        corner = ((SIDE - (right - left)) / 2 - left, (SIDE - (bottom - top)) / 2 - top)
        ImageDraw.Draw(image).text(corner, character, fill=255, font=self._font)
        pixels = np.asarray(image)
        return pixels if pixels.max() > 64 else None


def find_faces(folder: Path) -> list[Face]:
    """The fonts of `FACES` below the folder. Raises FileNotFoundError that names a missing one."""
    paths = {path.name: path for path in folder.rglob("*.tt[cf]")}
    missing = [name for name in FACES if name not in paths]
    if missing:
        raise FileNotFoundError(f"no {', '.join(missing)} below {folder}: install their packages")
    return [Face(paths[name]) for name in FACES]


def characters(
    faces: list[Face], codes: Sequence[int], count: int, min_fonts: int
) -> Iterator[dict[str, Drawing]]:
    """For each of the first `count` characters that enough fonts have: id -> drawing."""
    taken = 0
    for code in np.random.default_rng(SEED).permutation(np.array(codes)):
        if taken == count:
            return
        drawn = {f"U+{code:04X}/{face.name}": face.draw(chr(code)) for face in faces}
        present = {name: drawing for name, drawing in drawn.items() if drawing is not None}
        if len(present) >= min_fonts:
            taken += 1
            yield present


@dataclass(frozen=True)
class DrawingSet:
    """`inputs` [N, 32, 32] uint8, the character and the id of each."""

    inputs: Drawing
    labels: NDArray[np.str_]
    ids: NDArray[np.str_]

    @classmethod
    def of(cls, classes: list[dict[str, Drawing]]) -> DrawingSet:
        ids = [name for drawn in classes for name in drawn]
        inputs = np.stack([drawing for drawn in classes for drawing in drawn.values()])
        labels = [chr(int(name[2 : name.index("/")], 16)) for name in ids]
        return cls(inputs, np.array(labels), np.array(ids))

    @classmethod
    def read(cls, path: Path) -> DrawingSet:
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["inputs"], arrays["labels"], arrays["ids"])

    def with_new(self, other: DrawingSet) -> DrawingSet:
        """This set, and those drawings of `other` that it lacks."""
        new = ~np.isin(other.ids, self.ids)
        return DrawingSet(
            np.concatenate([self.inputs, other.inputs[new]]),
            np.concatenate([self.labels, other.labels[new]]),
            np.concatenate([self.ids, other.ids[new]]),
        )


def write(path: Path, drawings: DrawingSet) -> int:
    """Writes the set under a temporary name and renames it, so no reader sees half; rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: every container calls its process 1, and two pods may write at once.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.npz")
    try:
        np.savez_compressed(
            temporary, inputs=drawings.inputs, labels=drawings.labels, ids=drawings.ids
        )
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(drawings.ids)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"))
    parser.add_argument("--characters", type=int, default=900, help="Han characters (900)")
    parser.add_argument("--min-fonts", type=int, default=12, help="fonts that must have it (12)")
    parser.add_argument("--kana", type=Path, help="the .npz file to write kana into, a set apart")
    parser.add_argument(
        "--add", type=Path, help="draw nothing: add the drawings of this file to those of --output"
    )
    return parser.parse_args()


def draw(path: Path, faces: list[Face], codes: Sequence[int], count: int, min_fonts: int) -> None:
    """Writes the set of these characters, unless it is there."""
    if path.exists():
        print(f"{path} is there already: nothing to do")
        return
    started, classes = time.monotonic(), []
    for drawn in characters(faces, codes, count, min_fonts):
        classes.append(drawn)
        if len(classes) % 100 == 0:
            print(f"{len(classes)} of {count} characters", flush=True)
    rows, seconds = write(path, DrawingSet.of(classes)), time.monotonic() - started
    print(f"{rows} drawings of {len(classes)} characters in {len(faces)} fonts, {seconds:.1f} s")


def add(path: Path, other: Path) -> None:
    """Adds the drawings of `other` that the set lacks."""
    before = DrawingSet.read(path)
    together = before.with_new(DrawingSet.read(other))
    new = len(together.ids) - len(before.ids)
    if new:
        write(path, together)
    print(f"{new} drawings added to the {len(before.ids)} of {path}")


def main() -> int:
    arguments = _arguments()
    if arguments.add:
        add(arguments.output, arguments.add)
        return 0
    faces = find_faces(arguments.fonts)
    least = arguments.min_fonts
    draw(arguments.output, faces, HAN, arguments.characters, least)
    if arguments.kana:
        draw(arguments.kana, faces, KANA, len(KANA), least)
    return 0


if __name__ == "__main__":
    sys.exit(main())
