"""Checkpoints of one release: what a training that was lost leaves to the pod that goes on.

    checkpoints/<release uid>/<step, 10 digits>-<sha256 hex>.safetensors
    checkpoints/<release uid>/writer       who trains now

A checkpoint is one object whose name carries the digest of its bytes. So it is whole or it is not
that checkpoint, two writers can never mix their bytes in one, and a reader that meets a torn one
takes the one before it. What is inside is the trainer's own matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep_core.artifacts.backend import Absent, Backend
from lockstep_core.artifacts.digests import PREFIX, sha256_file
from lockstep_core.artifacts.errors import ArtifactError, StoreError, mismatch

_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"(\d{10})-([0-9a-f]{64})\.safetensors")
WRITER_LIMIT = 512


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint: the step after which it was taken, and the digest of its bytes."""

    step: int
    digest: str

    @property
    def name(self) -> str:
        return f"{self.step:010d}-{self.digest.removeprefix(PREFIX)}.safetensors"


class Checkpoints:
    """The checkpoints below one release's uid. Every method raises StoreError."""

    def __init__(self, backend: Backend, release_uid: str) -> None:
        if not _UID.fullmatch(release_uid):
            raise StoreError(f"{release_uid!r} cannot name checkpoints: letters, digits, '.', '_'")
        self._backend = backend
        self.folder = f"checkpoints/{release_uid}"

    def newest_first(self) -> list[Checkpoint]:
        """All of them, whole or torn, by their step."""
        names = (Path(key).name for key in self._backend.keys_below(self.folder))
        matches = [_NAME.fullmatch(name) for name in names]
        listed = {Checkpoint(int(m[1]), PREFIX + m[2]) for m in matches if m is not None}
        return sorted(listed, key=lambda one: (one.step, one.digest), reverse=True)

    def fetch(self, checkpoint: Checkpoint, into: Path) -> Path:
        """The checkpoint as a file in the folder `into`; raises ArtifactError when it is torn."""
        target = into / checkpoint.name
        key = f"{self.folder}/{checkpoint.name}"
        try:
            self._backend.get_file(key, target)
        except Absent as error:
            raise ArtifactError(f"checkpoint {key} is gone: {error}") from error
        if (actual := sha256_file(target)) != checkpoint.digest:
            target.unlink()
            raise mismatch(f"checkpoint {key}", expected=checkpoint.digest, actual=actual)
        return target

    def save(self, step: int, file: Path) -> Checkpoint:
        """Stores `file` as the checkpoint after `step`: all of it, or nothing."""
        checkpoint = Checkpoint(step, sha256_file(file))
        key = f"{self.folder}/{checkpoint.name}"
        if not self._backend.exists(key) and self._backend.put_file(key, file):
            return checkpoint
        if self._backend.stored(key).sha256 != checkpoint.digest:
            self._backend.replace(key, file)
        return checkpoint

    def prune(self, keep: int) -> Sequence[Checkpoint]:
        """Removes all but the newest `keep`; returns what was removed."""
        old = self.newest_first()[keep:]
        for checkpoint in old:
            self._backend.delete(f"{self.folder}/{checkpoint.name}")
        return old

    def remove_all(self) -> None:
        """Removes every checkpoint and the note of who writes."""
        self._backend.delete_folder(self.folder)

    def claim(self, writer: str) -> None:
        """Makes `writer` the one that trains this release: whoever was so before stops saving."""
        self._backend.replace(f"{self.folder}/writer", writer.encode()[:WRITER_LIMIT])

    def writer(self) -> str | None:
        """Who claimed the release last."""
        try:
            return self._backend.read(f"{self.folder}/writer", WRITER_LIMIT).decode(
                "utf-8", "replace"
            )
        except Absent:
            return None
