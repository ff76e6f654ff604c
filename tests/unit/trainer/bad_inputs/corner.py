"""A folder with a good set of each format and its config, for one input at a time to be spoilt."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image

CLASSES = [f"class-{number}" for number in range(8)]
LABELS = np.repeat(CLASSES, 3)
ROWS = len(LABELS)
VECTORS = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, size=(ROWS, 6, 5), dtype=np.uint8)
TEXTS = [f"{label} and the item {row}" for row, label in enumerate(LABELS)]


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@dataclass
class Corner:
    """`config` is what `lockstep-train` gets: a set of vectors, until it is changed."""

    root: Path
    config: dict[str, Any]

    @classmethod
    def make(cls, root: Path) -> Corner:
        root.mkdir(parents=True, exist_ok=True)
        uri = f"file://{root}"
        corner = cls(
            root,
            {
                "release": "corner-r1",
                "releaseUID": "uid-1",
                "artifacts": {"uri": uri, "claimName": "volume"},
                "training": {
                    "data": {"uri": f"{uri}/set.npz", "format": "NPZ"},
                    "encoder": {"kind": "MLP", "dimension": 8, "width": 8},
                    "batch": {"classes": 4, "perClass": 2},
                    "budget": {"maxSteps": 10},
                },
            },
        )
        corner.npz()
        return corner

    @property
    def training(self) -> dict[str, Any]:
        found: dict[str, Any] = self.config["training"]
        return found

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.training["data"]
        return found

    def use(self, name: str, format: str, encoder: str = "MLP") -> Path:
        """Makes `name` the set of the config."""
        self.data.update(uri=f"file://{self.root}/{name}", format=format)
        self.training["encoder"]["kind"] = encoder
        return self.root / name

    def npz(self, **changed: Any) -> None:
        """A good set, but for the arrays that are given; None leaves one out."""
        arrays = {"inputs": VECTORS, "labels": LABELS, **changed}
        kept = {name: array for name, array in arrays.items() if array is not None}
        np.savez(self.use("set.npz", "NPZ"), **kept)

    def parquet(self, encoder: str = "CharCNN", **changed: Any) -> Path:
        """A good set of texts, but for the columns that are given; None leaves one out."""
        columns = {"input": TEXTS, "label": LABELS.tolist(), **changed}
        kept = {name: column for name, column in columns.items() if column is not None}
        path = self.use("set.parquet", "Parquet", encoder)
        parquet.write_table(arrow.table(kept), path)
        return path

    def lines(self, changed: dict[int, object] | None = None, *, encoder: str = "CharCNN") -> Path:
        """A good set of texts, but for the lines (from 0) that are given: text or an object."""
        rows: list[object] = [
            {"input": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)
        ]
        for row, other in (changed or {}).items():
            rows[row] = other
        text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
        return self.raw("set.jsonl", text.encode(), "JSONLines", encoder)

    def raw(self, name: str, data: bytes, format: str, encoder: str = "MLP") -> Path:
        path = self.use(name, format, encoder)
        path.write_bytes(data)
        return path

    def folder(self) -> Path:
        """A good set of images, one folder a class."""
        path = self.use("pictures", "ImageFolder", "CNN")
        for row, (label, pixels) in enumerate(zip(LABELS, IMAGES, strict=True)):
            file = path / str(label) / f"{row}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(pixels))
        return path

    def config_file(self) -> Path:
        path = self.root / "train.json"
        path.write_text(json.dumps(self.config))
        return path
