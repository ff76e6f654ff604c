"""From a `DatasetSpec` to arrays in memory: fetch, check the digest, check everything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from lockstep_core.artifacts import (
    ArtifactError,
    ArtifactStore,
    StoreError,
    digest_of_files,
    sha256_stream,
)
from lockstep_core.datasets.columns import Columns
from lockstep_core.datasets.dataset import (
    Dataset,
    as_texts,
    input_layout_problems,
    name_problems,
)
from lockstep_core.datasets.images import Folder, read_images, require_images, scan
from lockstep_core.datasets.jsonlines import read_jsonlines
from lockstep_core.datasets.npz import read_npz
from lockstep_core.datasets.problems import DatasetError, Problem, problem
from lockstep_core.datasets.table import Reading, Table, checked
from lockstep_core.protocol.artifacts import PixelReading
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.datasets import SUFFIXES, DatasetFormat, DatasetSpec


def load_dataset(
    spec: DatasetSpec,
    store: ArtifactStore,
    workdir: Path,
    *,
    need_labels: bool = True,
    reading: PixelReading = PixelReading.AS_SHOWN,
) -> Dataset:
    """Loads the set that `spec` names. `workdir` takes the copy of a set that lies in a bucket.
    For an encoder that there is, `reading` is that of its input: it reads images as they were read
    when it was trained.

    Raises ArtifactError when the set is missing or is not the one that `spec.digest` names,
    StoreError when it cannot be read, and DatasetError with every problem of the set at once.
    The items are those that the digest was taken of, even when the set is replaced meanwhile.
    """
    reader = read_dataset(spec, store, workdir, need_labels=need_labels, reading=reading)
    return reader.dataset()


def read_dataset(
    spec: DatasetSpec,
    store: ArtifactStore,
    workdir: Path,
    *,
    need_labels: bool = True,
    reading: PixelReading = PixelReading.AS_SHOWN,
) -> Reading:
    """As `load_dataset`, but a set with problems is returned with those parts that are sound.

    Raises DatasetError when no part is.
    """
    try:
        path = store.fetch_dataset(spec.uri, workdir / "dataset")
        if spec.format is DatasetFormat.IMAGE_FOLDER:
            return _read_folder(spec, path, reading)
        return _read_file(spec, path, reading, need_labels=need_labels)
    except OSError as error:
        raise StoreError(
            f"data set {spec.uri} cannot be read ({error}): check the volume, and that the user of"
            f" the pod (uid {os.getuid()}) may read it"
        ) from error


def _check_digest(spec: DatasetSpec, digest: Sha256) -> Sha256:
    if spec.digest is not None and digest != spec.digest:
        raise ArtifactError(
            f"data set {spec.uri} is not the one that was asked for: expected {spec.digest},"
            f" digest {digest}. Restore it, or name the digest of the new one."
        )
    return digest


def _read_file(
    spec: DatasetSpec, path: Path, reading: PixelReading, *, need_labels: bool
) -> Reading:
    if not path.is_file():
        fix = f"name the {SUFFIXES[spec.format]} file itself, or set format: ImageFolder"
        raise DatasetError([problem(f"{spec.uri} is not a file", (), fix, count=1)])
    columns = Columns.of(spec, need_labels=need_labels)
    with path.open("rb") as file:
        # One handle for both: a set that is replaced by a rename is read as it was hashed.
        digest = _check_digest(spec, sha256_stream(file))
        if spec.format is DatasetFormat.PARQUET:
            table = _parquet_table(file, path.name, columns, reading)
        else:
            table = _TABLES[spec.format](file, path.name, columns)
    return checked(table, columns, digest, need_labels=need_labels)


def _npz_table(file: BufferedReader, name: str, columns: Columns) -> Table:
    needed = [each for each in columns.all if each in columns.needed]
    optional = [each for each in columns.all if each not in columns.needed]
    check = partial(_check_layout, columns)
    arrays, problems = read_npz(file, name, required=needed, optional=optional, check=check)
    names = {
        each: arrays[each].astype(arrays[each].dtype.newbyteorder("=")).astype(np.str_)
        for each in columns.names
        if each in arrays
    }
    inputs = arrays.get(columns.input)
    if inputs is not None and inputs.dtype.kind == "U":
        inputs, wrong = as_texts(inputs, columns.input)
        problems += wrong
    return Table(inputs, names, tuple(problems))


def _parquet_table(
    file: BufferedReader, name: str, columns: Columns, reading: PixelReading
) -> Table:
    try:
        # Only here: a program that serves shall not load it, nor `lockstep-train` for its help.
        from lockstep_core.datasets.parquet import read_parquet
    except ModuleNotFoundError as error:
        fix = "install the extra `parquet` (pyarrow), or store the set as NPZ or JSONLines"
        raise DatasetError([problem("Parquet cannot be read here", [error], fix)]) from error
    return read_parquet(file, name, columns, reading=reading)


_TABLES: dict[DatasetFormat, Callable[[BufferedReader, str, Columns], Table]] = {
    DatasetFormat.NPZ: _npz_table,
    DatasetFormat.JSON_LINES: read_jsonlines,
}


def _check_layout(
    columns: Columns, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> list[Problem]:
    problems = []
    if name == columns.input:
        problems += input_layout_problems(dtype, shape, name)
    if name in columns.names and (dtype.kind not in "Uiu" or len(shape) != 1):
        fix = f"store `{name}` as text or integers [N] (.astype(str))"
        problems.append(problem(f"`{name}` is {dtype.str} {list(shape)}", (), fix, count=1))
    return problems


@dataclass(frozen=True)
class _Named:
    """An image under its name in the set, for `digest_of_files`."""

    path: str
    sha256: str


def _read_folder(spec: DatasetSpec, path: Path, reading: PixelReading) -> Reading:
    if not path.is_dir():
        fix = "name the folder that holds one folder per class, or set format: NPZ"
        raise DatasetError([problem(f"{spec.uri} is not a folder", (), fix, count=1)])
    folder = scan(path)
    require_images(folder)
    names = np.array([image.name for image in folder.images], dtype=np.str_)
    if wrong := name_problems("ids", names):
        # The digest is of the names, too: it needs names that are text.
        raise DatasetError([*folder.problems, *wrong])
    digest = _check_digest(spec, _digest_of(folder))
    inputs, wrong = read_images(folder.images, reading=reading)
    labels = np.array([image.label for image in folder.images], dtype=np.str_)
    return Reading(digest, inputs, labels, names, None, (*folder.problems, *wrong))


def _digest_of(folder: Folder) -> Sha256:
    return digest_of_files(_Named(image.name, image.sha256) for image in folder.images)
