"""From SVG to pixels: the ink of an icon, whatever its colour."""

from __future__ import annotations

import io

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
FAINT = 64


def draw(body: str, box: tuple[float, float, float, float]) -> NDArray[np.uint8] | None:
    """uint8 [32, 32], ink white on black; None when the icon leaves nothing to see.

    `box` is left, top, width and height; a box that is not square is centred in one that is.
    """
    left, top, width, height = box
    longest = max(width, height)
    corner = f"{left - (longest - width) / 2:g} {top - (longest - height) / 2:g}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{corner} {longest:g} {longest:g}"'
        f' width="{SIDE}" height="{SIDE}">{body}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, skip_system_fonts=True)
    # Opacity, not brightness: some draw in `currentColor`, which is black, others in white.
    ink = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))[:, :, 3]
    return ink if ink.max() > FAINT else None
