"""What a model artifact computes with: said in its manifest, and used to judge its answers."""

from __future__ import annotations

from enum import StrEnum


class ArtifactKind(StrEnum):
    """What an encoder's graph computes with: float32 throughout, or matrix products of 8 bits."""

    FLOAT32 = "Float32"
    INT8 = "Int8"
