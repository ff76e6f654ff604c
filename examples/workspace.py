"""What the examples share: a folder under the user's cache, sets of images, configs, progress."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lockstep_core.protocol.config import TrainConfig

Item = TypeVar("Item")


class ExampleError(Exception):
    """A failure whose message is meant for the person who typed the command."""


def folder_of(example: str) -> Path:
    """The example's folder below the user's cache folder, made when it is not there."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root.resolve() / "lockstep" / "examples" / example
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(message: str) -> None:
    """One line on standard error, so that standard output stays for answers."""
    print(message, file=sys.stderr, flush=True)


def progress(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """`items`, counted while they pass: one line that moves on a terminal, else ten lines."""
    moving = sys.stderr.isatty()
    shown = 0
    for number, item in enumerate(items, start=1):
        yield item
        share = 100 * number // max(1, total)
        if share >= shown + (1 if moving else 10):
            shown = share
            start, end = ("\r", "") if moving else ("", "\n")
            print(f"{start}{what}: {share:3d} % of {total}", end=end, file=sys.stderr, flush=True)
    if moving and shown:
        print(file=sys.stderr)


def run(*command: str, cwd: Path) -> str:
    """Standard output of a program; ExampleError with its last words when it fails."""
    if shutil.which(command[0]) is None:
        raise ExampleError(f"`{command[0]}` is needed: install it")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise ExampleError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place at the end: no reader sees half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        temporary.replace(path)


class ImageSet:
    """Grey images of one size, kept on disk until they are written, so that a million fit.

    They wait in `folder`, which should be on the disk of the result: temporary folders are often
    small, or shared with others.
    """

    def __init__(self, side: int, folder: Path) -> None:
        self._side = side
        folder.mkdir(parents=True, exist_ok=True)
        self._pixels = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)
        self._texts: dict[str, list[str]] = {"labels": [], "ids": [], "groups": []}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._pixels.close()
        except OSError:
            # What a full disk did not take is lost; the error that told so goes on.
            if error is None:
                raise

    def __len__(self) -> int:
        return len(self._texts["ids"])

    def add(self, image: NDArray[np.uint8], *, label: str, name: str, group: str) -> None:
        """One item, uint8 [side, side]; `name` is unique, `group` is what a split may hold out."""
        if image.shape != (self._side, self._side) or image.dtype != np.uint8:
            raise ValueError(f"{name}: {image.dtype} {list(image.shape)}, side is {self._side}")
        self._pixels.write(image.tobytes())
        for key, text in (("labels", label), ("ids", name), ("groups", group)):
            self._texts[key].append(text)

    def write(self, path: Path) -> None:
        """As NPZ: `inputs` uint8 [N, side, side]; `labels`, `ids` and `groups`, text [N]."""
        shape = (len(self), self._side, self._side)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        self._pixels.seek(0)
        with (
            written(path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            with archive.open("inputs.npy", "w", force_zip64=True) as member:
                npy.write_array_header_1_0(member, header)
                shutil.copyfileobj(self._pixels, member, 1 << 20)
            for name, texts in self._texts.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    npy.write_array(member, np.array(texts, dtype=np.str_), allow_pickle=False)


def write_config(path: Path, training: Mapping[str, Any]) -> TrainConfig:
    """A config for `lockstep-train` whose artifacts lie beside it; its release is named after it.

    `training.data.uri` is a name in the config's folder.
    """
    root = f"file://{path.parent}"
    data = {**training["data"], "uri": f"{root}/{training['data']['uri']}"}
    wire = {
        "release": f"{path.stem}-r1",
        "releaseUID": f"{path.stem}-1",
        "artifacts": {"uri": root},
        "training": {**training, "data": data},
    }
    config = TrainConfig.model_validate(wire)
    with written(path) as temporary:
        temporary.write_text(json.dumps(wire, indent=2) + "\n")
    return config


def write_configs(
    folder: Path, name: str, groups: str, training: Callable[[str], Mapping[str, Any]]
) -> list[Path]:
    """`<name>.json`, which holds out classes, and `<name>-<groups>.json`, whole groups; `training`
    is given what the split is by."""
    configs = [folder / f"{name}.json", folder / f"{name}-{groups}.json"]
    for config, by in zip(configs, ("Class", "Group"), strict=True):
        write_config(config, training(by))
    return configs


def say_next(*configs: Path) -> None:
    """What to type now."""
    for config in configs:
        say(f"  lockstep-train validate --config {config}")
        say(f"  lockstep-train run --config {config}")
