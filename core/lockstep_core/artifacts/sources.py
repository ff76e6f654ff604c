"""Where data sets lie: on the store's volume, or anywhere in its bucket."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from lockstep_core.artifacts.backend import (
    Absent,
    Backend,
    bucket_of,
    local_root,
    prefix_of,
)
from lockstep_core.artifacts.errors import ArtifactError


class DatasetSource:
    """Reads data sets with the store's own credentials, so from nowhere else."""

    def __init__(self, store_uri: str, backend: Backend) -> None:
        self._store_uri = store_uri
        self._backend = backend

    def fetch(self, uri: str, into: Path) -> Path:
        """See `ArtifactStore.fetch_dataset`."""
        root = local_root(self._store_uri)
        if root is not None:
            return self._on_volume(uri, root)
        if bucket_of(uri) != bucket_of(self._store_uri):
            raise ArtifactError(
                f"data set {uri} is not in the bucket of the artifact store {self._store_uri}:"
                f" copy it to {bucket_of(self._store_uri)}/..."
            )
        return self._from_bucket(uri, into)

    def _on_volume(self, uri: str, root: Path) -> Path:
        path = local_root(uri)
        fix = f"put it on the volume of the artifact store, below {self._store_uri}"
        if path is None:
            raise ArtifactError(f"data set {uri} cannot be read with a file:// store: {fix}")
        try:
            resolved = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise ArtifactError(f"data set {uri} does not exist: {fix}") from error
        # After resolving: neither `..` nor a link may lead out of the volume.
        if not path.is_absolute() or not resolved.is_relative_to(root.resolve()):
            raise ArtifactError(f"data set {uri} lies outside of the artifact store: {fix}")
        return resolved

    def _from_bucket(self, uri: str, into: Path) -> Path:
        key = prefix_of(uri)
        into.mkdir(parents=True, exist_ok=True)
        if self._backend.exists(key):
            return self._download(key, into / _safe(Path(key).name, uri))
        keys = self._objects_below(key)
        if not keys:
            raise ArtifactError(f"data set {uri} does not exist: no object and no prefix has it")
        for listed in keys:
            self._download(listed, into / _safe(listed.removeprefix(f"{key}/"), uri))
        return into

    def _objects_below(self, key: str) -> list[str]:
        """Keys of all objects below the folder `key`, but for those that stand for a folder.

        Consoles make a folder as an empty object `folder/`, which is listed as `folder` and is not
        there when it is asked for.
        """
        listed = [
            (below, size)
            for below, size in self._backend.sizes_below(key)
            if below.startswith(f"{key}/")
        ]
        folders = {str(parent) for below, _ in listed for parent in PurePosixPath(below).parents}
        return [
            below
            for below, size in listed
            if size or (below not in folders and self._backend.exists(below))
        ]

    def _download(self, key: str, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._backend.get_file(key, target)
        except Absent as error:
            raise ArtifactError(f"data set object {key} vanished: {error}") from error
        return target


def _safe(relative: str, uri: str) -> str:
    parts = Path(relative).parts
    if not parts or Path(relative).is_absolute() or ".." in parts or "\\" in relative:
        raise ArtifactError(f"data set {uri} holds the object {relative!r}: rename it")
    return relative
