"""Random features: their length, their kernel, their identity, their file."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from lockstep_core.drift import features_file
from lockstep_core.drift.errors import FeaturesError
from lockstep_core.drift.features import Features, draw, of_embeddings, scale_of
from tests.unit.core.drift.world import Rows

pytestmark = pytest.mark.unit


def small(seed: int = 0) -> Features:
    return draw(8, (0.5, 1.0, 2.0), np.random.default_rng(seed), size=32, space_id="0123456789ab")


def test_features_have_length_one(features: Features, reference: Rows) -> None:
    phi = features(reference[:500])
    assert phi.shape == (500, 1024)
    np.testing.assert_allclose(np.linalg.norm(phi.astype(float), axis=1), 1, atol=1e-5)


def test_products_are_the_mean_of_three_kernels(features: Features, reference: Rows) -> None:
    x = reference[:300].astype(float)
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    kernel = np.mean([np.exp(-squares / (2 * s**2)) for s in features.bandwidths], axis=0)
    phi = features(reference[:300]).astype(float)
    error = phi @ phi.T - kernel
    assert np.abs(error).mean() < 0.02
    assert abs(error.mean()) < 0.005


def test_bandwidths_are_half_once_and_twice_the_median(features: Features, reference: Rows) -> None:
    sigma = scale_of(reference[:2000], np.random.default_rng(0))
    np.testing.assert_allclose(features.bandwidths, np.array([0.5, 1, 2]) * sigma, rtol=0.03)


def test_frequencies_of_one_block_are_orthogonal() -> None:
    found = draw(64, (1.0,), np.random.default_rng(0), size=128).weights.astype(float)
    found /= np.linalg.norm(found, axis=0)
    np.testing.assert_allclose(found.T @ found, np.eye(64), atol=1e-5)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    features = small()
    path = tmp_path / features_file.FILE
    manifest = features_file.write(features, path)
    read = features_file.read(path)
    np.testing.assert_array_equal(read.weights, features.weights)
    assert (read.digest, read.space_id) == (features.digest, "0123456789ab")
    assert manifest.to_wire()["wSha256"].startswith("sha256:")
    assert small(1).digest != features.digest


def test_safetensors_reads_the_file(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / features_file.FILE
    features_file.write(small(), path)
    np.testing.assert_array_equal(safetensors.load_file(path)["W"], small().weights)


WHOLE = features_file.to_bytes(small())
LENGTH = struct.unpack_from("<Q", WHOLE)[0]


def with_manifest(**fields: object) -> bytes:
    header = json.loads(WHOLE[8 : 8 + LENGTH])
    manifest = json.loads(header["__metadata__"]["manifest"]) | fields
    header["__metadata__"]["manifest"] = json.dumps(manifest)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + WHOLE[8 + LENGTH :]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no safetensors header"),
        (WHOLE[:20], "no safetensors header"),
        (WHOLE[:-1], "W has"),
        (WHOLE + b"\0", "W has"),
        (WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), "not sha256:"),
        (struct.pack("<Q", 2**63) + WHOLE[8:], "no safetensors header"),
        (struct.pack("<Q", 2) + b"{}" + WHOLE, "no manifest"),
        (struct.pack("<Q", 4000) + b"[" * 4000, "no manifest"),
        (with_manifest(schema="other/v9"), "schema"),
        (with_manifest(dim=2**40), "dim"),
        (with_manifest(size=33), "size"),
        (with_manifest(bandwidths=[0]), "bandwidths"),
        (with_manifest(other=1), "other"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_words(
    data: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "features.safetensors"
    path.write_bytes(data)
    with pytest.raises(FeaturesError, match=r"features\.safetensors.*again") as refused:
        features_file.read(path)
    assert says in str(refused.value)


def test_a_file_that_is_absent_or_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="cannot be read"):
        features_file.read(tmp_path / "absent")
    path = tmp_path / "other"
    path.write_bytes(WHOLE)
    with pytest.raises(FeaturesError, match="not sha256:0000"):
        features_file.read(path, "sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "embeddings",
    [np.zeros((10, 3)), np.ones((1, 3)), np.full((5, 3), np.nan), np.ones(3)],
)
def test_bandwidths_need_distinct_finite_embeddings(embeddings: np.ndarray) -> None:
    with pytest.raises(FeaturesError):
        of_embeddings(embeddings, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("weights", "bandwidths"),
    [
        (np.zeros((3, 2)), (1.0,)),
        (np.zeros(3, dtype=np.float32), (1.0,)),
        (np.full((3, 2), np.inf, dtype=np.float32), (1.0,)),
        (np.zeros((3, 2), dtype=np.float32), ()),
        (np.zeros((3, 2), dtype=np.float32), (-1.0,)),
    ],
)
def test_features_of_other_shapes_are_refused(
    weights: np.ndarray, bandwidths: tuple[float, ...]
) -> None:
    with pytest.raises(FeaturesError):
        Features(weights, bandwidths)
