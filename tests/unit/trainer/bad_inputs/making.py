"""How inputs are spoilt."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from PIL import Image

from tests.unit.trainer.bad_inputs.corner import (
    CLASSES,
    IMAGES,
    LABELS,
    TEXTS,
    VECTORS,
    Corner,
    png,
)

CONFIG, DATA = 2, 3


@dataclass(frozen=True)
class Bad:
    """`words` name the field, the value (or where it is) and the fix."""

    name: str
    make: Callable[[Corner], object]
    code: int
    words: tuple[str, ...]


def at(**changed: Any) -> Callable[[Corner], None]:
    """Sets fields of `training`, as `data__split__by`."""

    def make(corner: Corner) -> None:
        for path, value in changed.items():
            *parents, last = path.split("__")
            where: Any = corner.training
            for parent in parents:
                where = where.setdefault(parent, {})
            where[last] = value

    return make


def also(*steps: Callable[[Corner], object]) -> Callable[[Corner], None]:
    def make(corner: Corner) -> None:
        for step in steps:
            step(corner)

    return make


def npz(**changed: Any) -> Callable[[Corner], None]:
    return lambda corner: corner.npz(**changed)


def parquet(encoder: str = "CharCNN", **changed: Any) -> Callable[[Corner], object]:
    return lambda corner: corner.parquet(encoder, **changed)


def lines(changed: dict[int, object] | None = None) -> Callable[[Corner], object]:
    return lambda corner: corner.lines(changed)


def raw(name: str, data: bytes, format: str) -> Callable[[Corner], object]:
    return lambda corner: corner.raw(name, data, format)


def item(**changed: Any) -> dict[str, Any]:
    return {"input": "a text", "label": CLASSES[0], **changed}


def vectors(**rows: Any) -> np.ndarray:
    found = VECTORS.copy()
    for row, value in rows.items():
        found[int(row[1:])] = value
    return found


def labels(**rows: str) -> np.ndarray:
    found = LABELS.astype("<U600")
    for row, value in rows.items():
        found[int(row[1:])] = value
    return found


def texts(**rows: Any) -> list[Any]:
    found: list[Any] = list(TEXTS)
    for row, value in rows.items():
        found[int(row[1:])] = value
    return found


def drop(*path: str) -> Callable[[Corner], None]:
    def make(corner: Corner) -> None:
        where = corner.config
        for part in path[:-1]:
            where = where[part]
        del where[path[-1]]

    return make


def cut(make: Callable[[Corner], object], share: float) -> Callable[[Corner], None]:
    """The file of the set without its end."""

    def cut_off(corner: Corner) -> None:
        make(corner)
        path = Path(corner.data["uri"].removeprefix("file://"))
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return cut_off


def archive(**members: bytes) -> Callable[[Corner], None]:
    def make(corner: Corner) -> None:
        with zipfile.ZipFile(corner.use("set.npz", "NPZ"), "w") as file:
            for name, data in members.items():
                file.writestr(f"{name}.npy", data)

    return make


def zip_bomb(corner: Corner) -> None:
    """A header and a directory that claim 20 GB."""
    corner.npz()
    path = corner.root / "set.npz"
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        where = data.index(signature) + offset
        data[where : where + 4] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(bytes(data))


def unfolding(corner: Corner) -> None:
    """A few hundred bytes that are 2 GB of text once each row has its own."""
    folded = arrow.DictionaryArray.from_arrays(
        arrow.array(np.arange(20_000) % 1, arrow.int32()), ["x" * 100_000]
    )
    corner.parquet(input=folded, label=["a"] * 20_000)


def runs_of_zero(corner: Corner) -> None:
    """Kilobytes that are a vector of two million numbers."""
    zeros = arrow.array([[0.0] * 2_000_000], arrow.list_(arrow.float32()))
    corner.parquet("MLP", input=zeros, label=["a"])


def pictures(spoil: Callable[[Path], object]) -> Callable[[Corner], None]:
    return lambda corner: (spoil(corner.folder()), None)[1]


def one(name: str = "class-0/0.png", **options: Any) -> Callable[[Path], object]:
    """Replaces one picture by another kind of it."""
    mode, size = options.get("mode", "L"), options.get("size", (5, 6))
    return lambda folder: Image.new(mode, size).save(folder / name, options.get("kind", "PNG"))


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def claiming(side: int) -> bytes:
    """A small PNG whose header claims `side` x `side` pixels."""
    data = bytearray(png(IMAGES[0]))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def encoded(**rows: Any) -> list[Any]:
    found: list[Any] = [png(pixels) for pixels in IMAGES]
    for row, value in rows.items():
        found[int(row[1:])] = value
    return found


def by_shop(corner: Corner) -> None:
    """Splits by groups, which lie in `shop`."""
    corner.data.update(columns={"group": "shop"}, split={"by": "Group"})
