"""Digests and the identity of an embedding space. Pure, apart from reading a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from lockstep_core.protocol.base import Sha256

PREFIX = "sha256:"


class Hashed(Protocol):
    """Anything with a relative path and the digest of its bytes."""

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...


def sha256_bytes(data: bytes) -> Sha256:
    """`sha256:<64 hex>` of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> Sha256:
    """`sha256:<64 hex>` of a file's bytes, read in blocks; raises OSError as `open` does."""
    with path.open("rb") as file:
        return sha256_stream(file)


def sha256_stream(file: BufferedReader) -> Sha256:
    """`sha256:<64 hex>` of a file that is open at its start; it is back at its start afterwards."""
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return PREFIX + digest


def digest_of_files(entries: Iterable[Hashed]) -> Sha256:
    """Digest of a set of files: of the lines `<hex>  <path>`, sorted by path.

    The same text as `sha256sum` prints, so it can be checked without Lockstep.
    """
    lines = (
        f"{entry.sha256.removeprefix(PREFIX)}  {entry.path}\n"
        for entry in sorted(entries, key=lambda entry: entry.path)
    )
    return sha256_bytes("".join(lines).encode())


def space_id(
    *,
    model_digest: str,
    preprocessing_digest: str,
    pooling: str,
    normalisation: str,
    dimension: int,
) -> str:
    """The embedding space: the first 12 hex digits of the sha256 of the newline-joined fields.

    Two encoders share a space if and only if they are the same encoder: same width, or even the
    same training recipe, is not enough to compare their vectors.
    """
    fields = (model_digest, preprocessing_digest, pooling, normalisation, str(dimension))
    return hashlib.sha256("\n".join(fields).encode()).hexdigest()[:12]
