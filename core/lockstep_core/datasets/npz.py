"""NPZ: arrays `inputs`, `labels` and optionally `ids`, read without trusting a byte of them.

`numpy.load` alone would allocate whatever a header claims. Here each header is checked against the
size that the archive declares for its member, and that against a limit, before anything is loaded.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lockstep_core.datasets.problems import DatasetError, Problem, problem

MAX_BYTES = 16 * 1024**3
_SUFFIX = ".npy"
_DAMAGED = (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
_REWRITE = "write the set again with numpy.savez (plain arrays only)"

# Decides from dtype and shape whether an array is worth loading.
LayoutCheck = Callable[[str, np.dtype[Any], tuple[int, ...]], list[Problem]]


@dataclass(frozen=True)
class Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def accept_any(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> list[Problem]:
    return []


def read_npz(
    file: IO[bytes],
    name: str,
    *,
    required: Collection[str],
    optional: Collection[str] = (),
    check: LayoutCheck = accept_any,
    max_bytes: int = MAX_BYTES,
) -> tuple[dict[str, NDArray[Any]], list[Problem]]:
    """The named arrays that are sound, and the problems of those that are not.

    `file` is open at its start; messages call it `name`. Other members are left alone. Raises
    DatasetError when the file is no archive at all, or declares more than `max_bytes`.
    """
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGED as error:
        raise DatasetError([problem(f"{name} is no NPZ archive", [error], _REWRITE)]) from error
    with archive:
        members = {item.filename.removesuffix(_SUFFIX): item for item in archive.infolist()}
        problems = _listing_problems(archive, members, required)
        wanted = [each for each in (*required, *optional) if each in members]
        if (declared := sum(members[each].file_size for each in wanted)) > max_bytes:
            fix = f"keep the arrays below {max_bytes} bytes: split the set"
            raise DatasetError(
                [problem(f"arrays declare {declared} bytes once unpacked", wanted, fix)]
            )
        arrays: dict[str, NDArray[Any]] = {}
        for each in wanted:
            array, faults = _read_member(archive, members[each], each, check)
            problems += faults
            if array is not None:
                arrays[each] = array
    return arrays, problems


def _listing_problems(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], required: Collection[str]
) -> list[Problem]:
    problems = []
    if len(members) < len(archive.infolist()):
        problems.append(
            problem("members share a name", (), _REWRITE, count=len(archive.infolist()))
        )
    for name in required:
        if name not in members:
            fix = f"add `{name}`; the archive holds: {', '.join(sorted(members)[:8]) or 'nothing'}"
            problems.append(problem(f"array `{name}` is missing", (), fix, count=1))
    return problems


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, check: LayoutCheck
) -> tuple[NDArray[Any] | None, list[Problem]]:
    try:
        with archive.open(member) as stream:
            header, offset = _read_header(stream)
        if header.dtype.hasobject:
            fix = "store text as numpy text (.astype(str)), numbers as numbers: pickle is refused"
            return None, [problem(f"`{name}` is an object array", (), fix, count=1)]
        entries = int(np.prod(header.shape, dtype=object)) if header.shape else 1
        if entries * header.dtype.itemsize != member.file_size - offset:
            what = f"`{name}` claims {list(header.shape)} of {header.dtype.str}, but has"
            what += f" {member.file_size - offset} bytes"
            return None, [problem(what, (), _REWRITE, count=1)]
        if wrong := check(name, header.dtype, header.shape):
            return None, wrong
        with archive.open(member) as stream:
            return npy.read_array(stream, allow_pickle=False), []
    # RuntimeError: an encrypted member.
    except (*_DAMAGED, RuntimeError) as error:
        return None, [problem(f"`{name}` cannot be read", [error], _REWRITE)]


def _read_header(stream: IO[bytes]) -> tuple[Header, int]:
    """Header, and the offset at which the data begin."""
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(stream)
    else:
        raise ValueError(f"format {version} is not supported: 1.0 and 2.0 are")
    return Header(dtype, shape), stream.tell()
