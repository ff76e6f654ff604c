"""What an artifact brings for being watched: features, and a baseline where there are items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lockstep_core.artifacts import (
    InputKind,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    sha256_bytes,
)
from lockstep_core.drift import baseline_file, features_file
from lockstep_core.protocol.monitoring import BASELINE_PATH, FEATURES_PATH
from lockstep_trainer.artifact.watching import ITEMS, add_watching

pytestmark = pytest.mark.unit


def plain(files: Path, dimension: int = 8) -> ModelManifest:
    files.mkdir(exist_ok=True)
    (files / "model.onnx").write_bytes(b"graph")
    return ModelManifest.describe(
        describe_files(files, {"model.onnx": Role.SERVING}),
        preprocessing_digest=sha256_bytes(b"none"),
        pooling="None",
        normalisation="L2",
        dimension=dimension,
        input=InputSpec(kind=InputKind.VECTOR, shape=(4,), dtype="float32"),
        provenance={},
    )


def embeddings(count: int, dimension: int = 8) -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(count, dimension)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_many_items_give_features_and_a_baseline_of_a_bounded_number(tmp_path: Path) -> None:
    manifest, warnings = plain(tmp_path), list[str]()
    watched = add_watching(manifest, tmp_path, embeddings(6000), seed=3, warn=warnings.append)
    assert warnings == []
    assert (watched.model_digest, watched.space_id) == (manifest.model_digest, manifest.space_id)
    roles = {entry.path: entry.role for entry in watched.files}
    assert roles[FEATURES_PATH] == roles[BASELINE_PATH] == Role.REPORT
    features = features_file.read(tmp_path / FEATURES_PATH)
    assert (features.dim, features.size, features.space_id) == (8, 1024, manifest.space_id)
    baseline = baseline_file.from_json((tmp_path / BASELINE_PATH).read_bytes())
    assert baseline.features_digest == features.digest and baseline.n == ITEMS


def test_the_same_training_makes_the_same_files(tmp_path: Path) -> None:
    made = []
    for name in ("one", "other"):
        manifest = plain(tmp_path / name)
        made.append(add_watching(manifest, tmp_path / name, embeddings(2500), seed=3, warn=print))
    assert made[0] == made[1]


@pytest.mark.parametrize("count", [2, 16, 1999])
def test_few_items_give_features_alone_and_that_is_told(tmp_path: Path, count: int) -> None:
    warnings: list[str] = []
    watched = add_watching(
        plain(tmp_path), tmp_path, embeddings(count), seed=0, warn=warnings.append
    )
    assert {entry.path for entry in watched.files} == {"model.onnx", FEATURES_PATH}
    assert not (tmp_path / BASELINE_PATH).exists()
    (told,) = warnings
    assert "baseline: HeldOut" in told and "fewer than 2000" in told


def test_what_nothing_can_be_made_of_leaves_the_model_whole(tmp_path: Path) -> None:
    warnings: list[str] = []
    same = np.ones((50, 8), dtype=np.float32)
    manifest = plain(tmp_path)
    assert add_watching(manifest, tmp_path, same, seed=0, warn=warnings.append) == manifest
    assert len(warnings) == 1 and "half of the pairs" in warnings[0]


def test_features_that_an_encoder_would_not_hand_over_are_not_written(tmp_path: Path) -> None:
    warnings: list[str] = []
    manifest = plain(tmp_path, 20_000)
    wide = embeddings(5, 20_000)
    assert add_watching(manifest, tmp_path, wide, seed=0, warn=warnings.append) == manifest
    assert "fewer dimensions" in warnings[0]
