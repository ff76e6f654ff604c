"""What a model artifact computes with, and how it reads images: said in its manifest."""

from __future__ import annotations

from enum import StrEnum


class ArtifactKind(StrEnum):
    """What an encoder's graph computes with: float32 throughout, or matrix products of 8 bits.

    Weights that are stored in float16 are float32 once loaded: a graph of them is of float32.
    """

    FLOAT32 = "Float32"
    INT8 = "Int8"


class PixelReading(StrEnum):
    """Which pixels of a PNG or JPEG are meant: as they are stored, or as a viewer shows them,
    turned as EXIF says and white where a PNG's transparent colour (tRNS) is."""

    AS_STORED = "AsStored"
    AS_SHOWN = "AsShown"
