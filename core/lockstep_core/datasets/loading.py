"""From a `DatasetSpec` to arrays in memory: fetch, check the digest, check everything else."""

from __future__ import annotations

import os
from dataclasses import dataclass
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
from lockstep_core.datasets.dataset import (
    Dataset,
    Strings,
    duplicate_problems,
    input_layout_problems,
    name_problems,
    value_problems,
)
from lockstep_core.datasets.images import Folder, read_images, require_images, scan
from lockstep_core.datasets.npz import read_npz
from lockstep_core.datasets.problems import DatasetError, Problem, problem
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.datasets import DatasetFormat, DatasetSpec


def load_dataset(
    spec: DatasetSpec, store: ArtifactStore, workdir: Path, *, need_labels: bool = True
) -> Dataset:
    """Loads the set that `spec` names. `workdir` takes the copy of a set that lies in a bucket.

    Raises ArtifactError when the set is missing or is not the one that `spec.digest` names,
    StoreError when it cannot be read, and DatasetError with every problem of the set at once.
    The items are those that the digest was taken of, even when the set is replaced meanwhile.
    """
    try:
        path = store.fetch_dataset(spec.uri, workdir / "dataset")
        if spec.format is DatasetFormat.NPZ:
            return _load_npz(spec, path, need_labels=need_labels)
        return _load_folder(spec, path)
    except OSError as error:
        raise StoreError(
            f"data set {spec.uri} cannot be read ({error}): check the volume, and that the user of"
            f" the pod (uid {os.getuid()}) may read it"
        ) from error


def _check_digest(spec: DatasetSpec, found: Sha256) -> Sha256:
    if spec.digest is not None and found != spec.digest:
        raise ArtifactError(
            f"data set {spec.uri} is not the one that was asked for: expected {spec.digest},"
            f" found {found}. Restore it, or name the digest of the new one."
        )
    return found


def _load_npz(spec: DatasetSpec, path: Path, *, need_labels: bool) -> Dataset:
    if not path.is_file():
        fix = "name the .npz file itself, or set format: ImageFolder"
        raise DatasetError([problem(f"{spec.uri} is not a file", (), fix, count=1)])
    required, optional = ["inputs"], ["ids"]
    (required if need_labels else optional).append("labels")
    with path.open("rb") as file:
        # One handle for both: a set that is replaced by a rename is read as it was hashed.
        digest = _check_digest(spec, sha256_stream(file))
        arrays, problems = read_npz(
            file, path.name, required=required, optional=optional, check=_check_layout
        )
    names: dict[str, Strings] = {}
    for name in ("labels", "ids"):
        if name in arrays:
            names[name] = arrays[name].astype(arrays[name].dtype.newbyteorder("=")).astype(np.str_)
            optional_labels = name == "labels" and not need_labels
            wrong = name_problems(name, names[name], may_be_empty=optional_labels)
            if name == "ids" and not wrong:
                wrong = duplicate_problems(names[name])
            problems += wrong
    inputs = arrays.get("inputs")
    if inputs is not None:
        problems += value_problems(inputs)
        problems += _length_problems(len(inputs), names)
    if problems or inputs is None:
        raise DatasetError(problems)
    rows = len(inputs)
    return Dataset(
        inputs=np.ascontiguousarray(inputs),
        labels=names.get("labels", np.full(rows, "", dtype=np.str_)),
        ids=names.get("ids", np.arange(rows).astype(np.str_)),
        digest=digest,
    )


def _check_layout(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> list[Problem]:
    if name == "inputs":
        return input_layout_problems(dtype, shape)
    if dtype.kind not in "Uiu" or len(shape) != 1:
        fix = f"store `{name}` as text or integers [N] (.astype(str))"
        return [problem(f"`{name}` is {dtype.str} {list(shape)}", (), fix, count=1)]
    return []


def _length_problems(rows: int, names: dict[str, Strings]) -> list[Problem]:
    fix = "give one entry per row of `inputs`"
    return [
        problem(f"`{name}` has {len(values)} rows, `inputs` {rows}", (), fix, count=1)
        for name, values in names.items()
        if len(values) != rows
    ]


@dataclass(frozen=True)
class _Named:
    """An image under its name in the set, for `digest_of_files`."""

    path: str
    sha256: str


def _load_folder(spec: DatasetSpec, path: Path) -> Dataset:
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
    inputs, wrong = read_images(folder.images)
    problems = [*folder.problems, *wrong]
    if problems or inputs is None:
        raise DatasetError(problems)
    labels = np.array([image.label for image in folder.images], dtype=np.str_)
    return Dataset(inputs=inputs, labels=labels, ids=names, digest=digest)


def _digest_of(folder: Folder) -> Sha256:
    return digest_of_files(_Named(image.name, image.sha256) for image in folder.images)
