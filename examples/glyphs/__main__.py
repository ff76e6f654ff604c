"""Han characters in many fonts, on this machine; the demo draws its own on the cluster.

Class = character, item = one font's drawing, group = the font's package. The drawings stay here:
fonts are under licences of their own (each package's `copyright` lies beside its fonts).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from examples.glyphs.fonts import FULL, SMALL, all_faces, small_faces, unpacked
from examples.glyphs.render import HAN, SEED, SIDE, Face
from examples.workspace import (
    ExampleError,
    ImageSet,
    folder_of,
    progress,
    say,
    say_next,
    write_configs,
)

SMALL_CHARACTERS, SMALL_FONTS = 900, 12
FULL_FONTS = 4


class Size(StrEnum):
    SMALL = "small"
    FULL = "full"


def draw(
    faces: Mapping[str, tuple[Face, str]], codes: Iterable[int], images: ImageSet, least: int
) -> Iterable[int]:
    """Adds each character that at least `least` faces have; yields it once it is added."""
    for code in codes:
        drawn = {name: face.draw(chr(code)) for name, (face, _) in faces.items()}
        present = {name: drawing for name, drawing in drawn.items() if drawing is not None}
        if len(present) < least:
            continue
        for name, drawing in present.items():
            key = f"U+{code:04X}/{name}"
            images.add(drawing, label=chr(code), name=key, group=faces[name][1])
        yield code


def training(size: Size, by: str) -> Mapping[str, Any]:
    """A split by `Class` (unseen characters) or by `Group` (unseen fonts)."""
    full = size is Size.FULL
    fraction = "0.02" if full and by == "Class" else "0.3" if by == "Class" else "0.2"
    return {
        "data": {
            "uri": f"glyphs-{size}.npz",
            "format": "NPZ",
            "columns": {"group": "groups"},
            "split": {"by": by, "evalFraction": fraction},
        },
        "encoder": {"kind": "CNN", "dimension": 128 if full else 64},
        "batch": {"classes": 256, "perClass": 4} if full else {"classes": 32, "perClass": 4},
        "budget": {"maxSteps": 20_000 if full else 250},
    }


def write_set(size: Size, folder: Path) -> Path:
    """The NPZ, which is left as it is when it is there."""
    path = folder / f"glyphs-{size}.npz"
    if path.exists():
        say(f"{path} is there already")
        return path
    order = np.random.default_rng(SEED).permutation(np.array(HAN)).tolist()
    with ImageSet(SIDE, folder) as images:
        if size is Size.SMALL:
            faces = small_faces(unpacked(SMALL, folder / "fonts"))
            drawn = draw(faces, order, images, SMALL_FONTS)
            ended = zip(range(SMALL_CHARACTERS), drawn, strict=False)
            classes = sum(1 for _ in progress(ended, "characters", SMALL_CHARACTERS))
        else:
            faces = all_faces(unpacked(FULL, folder / "fonts"))
            codes = progress(order, "characters", len(order))
            classes = sum(1 for _ in draw(faces, codes, images, FULL_FONTS))
        images.write(path)
        say(f"{len(images)} drawings of {classes} characters in {len(faces)} fonts")
    return path


def make(folder: Path, size: Size) -> list[Path]:
    """Data set and both configs below `folder`; the configs."""
    write_set(size, folder)
    return write_configs(folder, f"glyphs-{size}", "fonts", lambda by: training(size, by))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.glyphs",
        description="Fetches fonts with apt-get, draws Han characters and writes two configs for"
        " `lockstep-train`: one holds out characters, one (-fonts) the fonts of whole packages."
        " small: 900 characters in 24 fonts. full: about a million drawings, for benchmarks; it"
        " needs 3 GB of disk.",
    )
    parser.add_argument("--folder", type=Path, help="where to write (the user's cache folder)")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.SMALL)
    options = parser.parse_args(arguments)
    try:
        configs = make((options.folder or folder_of("glyphs")).resolve(), options.size)
    except (ExampleError, OSError) as error:
        say(f"error: {error}")
        return 1
    say_next(*configs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
