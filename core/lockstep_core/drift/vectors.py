"""Vectors on the wire: float32, little-endian, base64. And canonical JSON, which digests cover."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift.errors import SketchError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def encode(vector: NDArray[Any]) -> str:
    """Base64 of the float32 of a vector [n]."""
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode("ascii")


def decode(text: str, length: int, name: str) -> Float64:
    """The float64 [length] of `encode`'s text. Raises SketchError, naming the field, for other
    lengths, for what is no base64, and for numbers that are not finite."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SketchError(f"`{name}` is no base64 ({error}); ask its sender again") from None
    if len(data) != 4 * length:
        raise SketchError(
            f"`{name}` has {len(data)} bytes where {length} float32 take {4 * length};"
            " ask its sender again"
        )
    vector = np.frombuffer(data, dtype="<f4").astype(np.float64)
    if not np.isfinite(vector).all():
        raise SketchError(f"`{name}` holds a number that is not finite; ask its sender again")
    return vector


def canonical(content: object) -> bytes:
    """JSON with sorted keys and no spaces; the shortest digits that give a float back."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode("ascii")


def digest(content: object) -> str:
    """`sha256:<64 hex>` of the canonical JSON."""
    return sha256(canonical(content))


def sha256(data: bytes) -> str:
    """`sha256:<64 hex>` of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
