"""A small set of real glyphs, and a training that takes a second or two."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

SIDE = 16
CHARACTERS = string.ascii_letters + string.digits
VARIANTS = 10


def draw(character: str, generator: np.random.Generator) -> np.ndarray:
    """One glyph, uint8 [SIDE, SIDE]: size, angle, place and contrast vary."""
    font = ImageFont.load_default(size=float(generator.uniform(9, 14)))
    image = Image.new("L", (SIDE, SIDE))
    left, top, right, bottom = font.getbbox(character)
    right_by, down_by = generator.uniform(-1, 1, 2)
    at = ((SIDE - left - right) / 2 + right_by, (SIDE - top - bottom) / 2 + down_by)
    ink = int(generator.integers(120, 256))
    ImageDraw.Draw(image).text(at, character, fill=ink, font=font)
    turned = image.rotate(float(generator.uniform(-15, 15)), resample=Image.Resampling.BILINEAR)
    return np.asarray(turned, dtype=np.uint8)


@pytest.fixture(scope="session")
def glyphs() -> tuple[np.ndarray, np.ndarray]:
    """`inputs` uint8 [620, 16, 16] and `labels`: 62 characters, 10 drawings each."""
    generator = np.random.default_rng(0)
    inputs = np.stack([draw(c, generator) for c in CHARACTERS for _ in range(VARIANTS)])
    return inputs, np.repeat([f"U+{ord(c):04X}" for c in CHARACTERS], VARIANTS)


@pytest.fixture
def store_root(tmp_path: Path, glyphs: tuple[np.ndarray, np.ndarray]) -> Path:
    """A store on a volume, with the set `glyphs.npz`."""
    root = tmp_path / "store"
    root.mkdir()
    np.savez(root / "glyphs.npz", inputs=glyphs[0], labels=glyphs[1])
    return root


@pytest.fixture
def wire(store_root: Path) -> dict[str, Any]:
    """A config as the operator hands it over."""
    return {
        "release": "glyphs-r1",
        "releaseUID": "uid-1",
        "artifacts": {"uri": f"file://{store_root}", "claimName": "volume"},
        "training": {
            "data": {
                "uri": f"file://{store_root}/glyphs.npz",
                "format": "NPZ",
                "split": {"evalFraction": "0.3"},
            },
            "encoder": {"kind": "CNN", "dimension": 16, "width": 8},
            "batch": {"classes": 12, "perClass": 4},
            "budget": {"maxSteps": 80},
        },
    }


@pytest.fixture
def config_file(tmp_path: Path, wire: dict[str, Any]) -> Path:
    path = tmp_path / "train.json"
    path.write_text(json.dumps(wire))
    return path
