"""Features as one safetensors file: W float32 [dim, D/2], and a manifest in its metadata.

Written and read here, byte for byte: a program that serves needs no further library for one tensor,
and the same features always make the same bytes, whose digest is their identity.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from lockstep_core.drift import vectors
from lockstep_core.drift.errors import FeaturesError
from lockstep_core.drift.features import MAX_DIM, MAX_SIZE, Features, FeaturesManifest

FILE = "features.safetensors"
_TENSOR = "W"
_MAX_HEADER = 65_536
_MAX_BYTES = 8 + _MAX_HEADER + 4 * MAX_DIM * MAX_SIZE // 2
_AGAIN = "train or export the model again, or fetch its artifact again"


def to_bytes(features: Features) -> bytes:
    """The file's bytes; the same features make the same ones."""
    data = features.weight_bytes()
    tensor = {
        "dtype": "F32",
        "shape": list(features.weights.shape),
        "data_offsets": [0, len(data)],
    }
    # Values of safetensors' metadata are strings.
    metadata = {"manifest": vectors.canonical(features.manifest.to_wire()).decode("ascii")}
    header = vectors.canonical({"__metadata__": metadata, _TENSOR: tensor})
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def from_bytes(data: bytes, name: str = FILE) -> Features:
    """Features of a file's bytes. Raises FeaturesError, naming the file and the fix, for what is
    torn, of another schema, or not what its own digest says."""
    manifest, start = _manifest(data, name)
    weights = data[start:]
    expected = 4 * manifest.dim * (manifest.size // 2)
    if len(weights) != expected:
        raise FeaturesError(f"{name}: W has {len(weights)} bytes, not {expected}; {_AGAIN}")
    found = vectors.sha256(weights)
    if found != manifest.w_sha256:
        raise FeaturesError(f"{name}: W is {found}, not {manifest.w_sha256}; {_AGAIN}")
    array = np.frombuffer(weights, dtype="<f4").astype(np.float32)
    shaped = array.reshape(manifest.dim, manifest.size // 2)
    features = Features(shaped, manifest.bandwidths, manifest.space_id)
    if to_bytes(features) != data:
        raise FeaturesError(f"{name}: is not as this version writes it; {_AGAIN}")
    return features


def write(features: Features, path: Path) -> FeaturesManifest:
    """Writes the file. Raises OSError as `write_bytes` does."""
    path.write_bytes(to_bytes(features))
    return features.manifest


def read(path: Path, expected_digest: str | None = None) -> Features:
    """Features of a file, checked before use. Raises FeaturesError, also for a file that is absent,
    or has another digest than is expected."""
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise FeaturesError(f"{path}: has {size} bytes, above {_MAX_BYTES}; {_AGAIN}")
        data = path.read_bytes()
    except OSError as error:
        raise FeaturesError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from None
    if expected_digest is not None and (found := vectors.sha256(data)) != expected_digest:
        raise FeaturesError(f"{path}: is {found}, not {expected_digest}; {_AGAIN}")
    return from_bytes(data, str(path))


def _manifest(data: bytes, name: str) -> tuple[FeaturesManifest, int]:
    """The manifest, and where the weights begin."""
    length = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else 0
    if not 0 < length <= min(_MAX_HEADER, len(data) - 8):
        raise FeaturesError(f"{name}: is torn: it has no safetensors header; {_AGAIN}")
    try:
        header = json.loads(data[8 : 8 + length])
        manifest = FeaturesManifest.model_validate_json(header["__metadata__"]["manifest"])
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "manifest"
        raise FeaturesError(f"{name}: `{where}`: {problem['msg']}; {_AGAIN}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FeaturesError(f"{name}: has no manifest of drift features; {_AGAIN}") from None
    return manifest, 8 + length
