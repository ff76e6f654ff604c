"""Small sets and artifacts on a volume: how they are written, loaded, found and damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.datasets import Dataset, DatasetError, Problem, load_dataset
from lockstep_core.protocol.datasets import DatasetFormat, DatasetSpec

IMAGES = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
VECTORS = np.arange(18, dtype=np.float32).reshape(6, 3)
LABELS = np.array(list("aabbcc"))
IDS = np.array([f"id-{number}" for number in range(6)])
Arrays = dict[str, Any]


class Sets:
    """Writes sets onto the volume and loads them."""

    def __init__(self, volume: Path, store: ArtifactStore) -> None:
        self.volume = volume
        self.store = store

    def npz(self, **arrays: Any) -> Path:
        path = self.volume / "set.npz"
        np.savez(path, **arrays)
        return path

    def load(self, path: Path, digest: str | None = None, *, need_labels: bool = True) -> Dataset:
        kind = DatasetFormat.NPZ if path.suffix == ".npz" else DatasetFormat.IMAGE_FOLDER
        spec = DatasetSpec(uri=f"file://{path}", format=kind, digest=digest)
        return load_dataset(spec, self.store, self.volume / "work", need_labels=need_labels)

    def problems(self, path: Path, *, need_labels: bool = True) -> tuple[Problem, ...]:
        with pytest.raises(DatasetError) as caught:
            self.load(path, need_labels=need_labels)
        for item in caught.value.problems:
            assert item.fix
            assert item.count >= 1
            assert len(item.examples) <= 5
            assert str(item) in str(caught.value)
        return caught.value.problems


GOOD: Arrays = {"inputs": IMAGES, "labels": LABELS, "ids": IDS}


def blob(volume: Path, model: ModelManifest, path: str) -> Path:
    (entry,) = [item for item in model.files if item.path == path]
    return volume / "blobs/sha256" / entry.sha256.removeprefix("sha256:")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
