"""A small model artifact, and a store on a volume."""

from __future__ import annotations

from pathlib import Path

import pytest
from obstore.store import MemoryStore

from lockstep_core.artifacts import (
    ArtifactStore,
    InputKind,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    sha256_bytes,
)
from lockstep_core.artifacts.backend import Backend
from lockstep_core.artifacts.sources import DatasetSource
from lockstep_core.protocol.storage import ArtifactsSpec
from tests.unit.core.support import Sets

MODEL_ROLES = {
    "model.onnx": Role.SERVING,
    "preprocess.json": Role.SERVING,
    "golden.npz": Role.CHECK,
    "eval/report.json": Role.REPORT,
}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    root = tmp_path / "volume"
    root.mkdir()
    return root


@pytest.fixture
def store(volume: Path) -> ArtifactStore:
    return ArtifactStore.open(ArtifactsSpec(uri=f"file://{volume}", claim_name="artifacts"))


@pytest.fixture
def model_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    (directory / "eval").mkdir(parents=True)
    for number, path in enumerate(MODEL_ROLES):
        (directory / path).write_bytes(bytes(range(256)) * (1 + number) + path.encode())
    return directory


@pytest.fixture
def model(model_directory: Path) -> ModelManifest:
    return ModelManifest.describe(
        describe_files(model_directory, MODEL_ROLES),
        preprocessing_digest=sha256_bytes(b"none"),
        pooling="GlobalAverage",
        normalisation="L2",
        dimension=8,
        input=InputSpec(kind=InputKind.IMAGE, shape=(4, 4), dtype="uint8"),
        provenance={"seed": "0"},
    )


@pytest.fixture
def sets(volume: Path, store: ArtifactStore) -> Sets:
    return Sets(volume, store)


@pytest.fixture
def in_memory() -> ArtifactStore:
    """As a bucket behaves: no folders, no volume."""
    backend = Backend(MemoryStore(), None)
    return ArtifactStore(backend, DatasetSource("s3://bucket/models", backend))
