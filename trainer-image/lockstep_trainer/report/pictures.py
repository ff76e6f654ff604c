"""One raw item as HTML: an image as a PNG within the page, a text as text, a vector as bars."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lockstep_core.datasets.dataset import Inputs, is_text

MAX_SIDE = 96
MAX_CHARACTERS = 160
BARS = 64


def picture(inputs: Inputs, row: int) -> str:
    """The item of `row`; HTML that is safe whatever it holds."""
    if is_text(inputs):
        return _text(str(inputs[row]))
    if inputs.dtype == np.uint8:
        return _image(np.asarray(inputs[row], dtype=np.uint8))
    return _bars(np.asarray(inputs[row], dtype=np.float64))


def _text(text: str) -> str:
    cut = text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
    return f'<q class="item" dir="auto">{escape(cut)}</q>'


def _image(pixels: NDArray[np.uint8]) -> str:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    encoded = base64.b64encode(written.getvalue()).decode()
    return f'<img class="item" alt="" src="data:image/png;base64,{encoded}">'


def _bars(vector: NDArray[np.float64]) -> str:
    """Means of up to `BARS` stretches of the vector, around zero."""
    parts = np.array_split(vector, min(BARS, len(vector)))
    heights = np.array([part.mean() for part in parts])
    heights = heights / (np.abs(heights).max() or 1.0) * 30
    path = "".join(f"M{at + 0.5:.1f} 32v{-height:.1f}" for at, height in enumerate(heights))
    return (
        f'<svg class="item" viewBox="0 0 {len(heights)} 64" preserveAspectRatio="none">'
        f'<path class="bars" d="{path}"/></svg>'
    )
