"""What a viewer shows of a stored image: turned as its EXIF says, and white where it is clear."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

Turn = Image.Transpose

# By the EXIF tag Orientation; 1 and every other number leave an image as it is.
TURNS = {
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_90,
}
SWAPPING = frozenset({Turn.TRANSPOSE, Turn.ROTATE_270, Turn.TRANSVERSE, Turn.ROTATE_90})
"""Turns after which the width is the height."""

WHITE = 255
# Greyscale of fewer bits is decoded to 8, but a PNG's clear value is told as it is stored.
_STEPS = {"L;2": 85, "L;4": 17}

Clear: TypeAlias = tuple[int, ...]
"""The value of each channel of pixels that are clear."""


def turn_of(image: Image.Image) -> Turn | None:
    """How an image that is not decoded yet is to be turned; None as it is.

    Only what stands before the pixels counts. A tag that is damaged turns nothing.
    """
    try:
        # Not the method of a PNG, which would decode the image to look behind its pixels.
        orientation = Image.Image.getexif(image).get(Base.Orientation)
        return TURNS.get(orientation) if isinstance(orientation, int) else None
    # The tags are parsed from bytes that anybody may have written; a dozen types are raised.
    except Exception:
        return None


def clear_of(image: Image.Image) -> Clear | None:
    """The one value of a greyscale or RGB image that means clear (tRNS of a PNG); None: none.

    Ask before the image is decoded.
    """
    stored = image.info.get("transparency")
    values = stored if isinstance(stored, tuple) else (stored,)
    channels = {"L": 1, "RGB": 3}.get(image.mode)
    if len(values) != channels or not all(isinstance(each, int) for each in values):
        return None
    # Of an image that was decoded already, Pillow no longer tells how it was stored.
    tiles = getattr(image, "tile", ())
    form = str(tiles[0].args) if tiles else ""
    if form.endswith(";16B"):
        return tuple(each >> 8 for each in values)
    return tuple(each * _STEPS.get(form, 1) for each in values)


def on_white(pixels: NDArray[np.uint8], clear: Clear) -> NDArray[np.uint8]:
    """`pixels` [H, W] or [H, W, 3] with those of the value `clear` white."""
    chosen = pixels == np.array(clear if pixels.ndim == 3 else clear[0])
    shown = pixels.copy()
    shown[chosen.all(axis=2) if pixels.ndim == 3 else chosen] = WHITE
    return shown
