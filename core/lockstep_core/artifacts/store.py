"""The artifact store: content-addressed, create-only, every byte checked before it is parsed.

Where each lies is said in `keys`. Nothing outside of this package knows it.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lockstep_core.artifacts.backend import (
    Absent,
    Backend,
    bucket_of,
    local_root,
    prefix_of,
)
from lockstep_core.artifacts.digests import PREFIX, sha256_bytes, sha256_file
from lockstep_core.artifacts.errors import ArtifactDamaged, ArtifactError, mismatch, mismatch_text
from lockstep_core.artifacts.keys import (
    BLOBS,
    MANIFESTS,
    blob_key,
    manifest_digest,
    manifest_key,
    result_key,
)
from lockstep_core.artifacts.manifest import (
    BuildManifest,
    FileEntry,
    Manifest,
    ModelManifest,
    regular_file,
)
from lockstep_core.artifacts.sources import DatasetSource
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.environment import TERMINATION_LIMIT
from lockstep_core.protocol.result import Result
from lockstep_core.protocol.storage import ArtifactsSpec

log = logging.getLogger(__name__)

MANIFEST_LIMIT = 4 * 1024 * 1024
LOST = "it was never published there, or was deleted. Check artifacts.uri, or train again."
LOST_IN_SOURCE = (
    "the URI of the source must name the root of a store, the folder that holds manifests/ and"
    " blobs/, and the digest an artifact of it."
)

M = TypeVar("M", bound=Manifest)


class ArtifactStore:
    """Artifacts, results and data sets of one EmbeddingModel."""

    def __init__(self, backend: Backend, datasets: DatasetSource, *, lost: str = LOST) -> None:
        self._backend = backend
        self._datasets = datasets
        self._lost = lost

    @property
    def backend(self) -> Backend:
        """Objects by key, for what one program alone keeps here, below a folder of its own."""
        return self._backend

    @classmethod
    def open(cls, spec: ArtifactsSpec, *, field: str = "artifacts.uri") -> ArtifactStore:
        """Opens the store; raises StoreError when it cannot be, which names its URI by `field`.

        A bucket is not contacted until something is read or written.
        """
        backend = Backend.open(spec, prefix_of(spec.uri), field=field)
        # Data sets lie anywhere in the bucket, artifacts below the URI's prefix.
        on_volume = local_root(spec.uri) is not None
        whole = backend if on_volume else Backend.open(spec, "", field=field)
        return cls(backend, DatasetSource(spec.uri, whole))

    @classmethod
    def open_source(cls, spec: ArtifactsSpec, uri: str) -> ArtifactStore:
        """Another store, reached as that of `spec` is: on its volume or in its bucket.

        Raises ArtifactError when `uri` is not there or lies elsewhere, else as `open` does.
        """
        root, mount = local_root(uri), local_root(spec.uri)
        if root is None or mount is None:
            if root is not mount or bucket_of(uri) != bucket_of(spec.uri):
                raise ArtifactError(f"{uri} is not in the bucket of the artifact store {spec.uri}")
        elif not root.resolve().is_relative_to(mount.resolve()):
            # After resolving: neither `..` nor a link may lead out of the volume.
            raise ArtifactError(f"{uri} lies outside of the artifact store {spec.uri}")
        elif not root.is_dir():
            raise ArtifactError(f"{uri} is not a folder: {LOST_IN_SOURCE}")
        backend = Backend.open(spec.replace(uri=uri), prefix_of(uri))
        return cls(backend, DatasetSource(uri, backend), lost=LOST_IN_SOURCE)

    def publish(self, directory: Path, manifest: ModelManifest | BuildManifest) -> Sha256:
        """Stores the files that `manifest` lists, then the manifest; returns its digest.

        Safe to repeat and to run twice at once: what is there already is verified, and replaced
        when it is corrupt. Raises ArtifactError when a file of `directory` is not as listed.
        """
        return self._publish(directory, manifest, manifest.to_bytes())

    def take_over(
        self, source: ArtifactStore, digest: Sha256, directory: Path, manifest: ModelManifest
    ) -> None:
        """Publishes here what `source.fetch(digest, directory)` gave, under the same digest.

        The manifest goes over byte by byte: one that is not canonical JSON keeps its name too.
        Raises as `publish` and `fetch` do.
        """
        self._publish(directory, manifest, source._manifest_bytes(digest))

    def _publish(
        self, directory: Path, manifest: ModelManifest | BuildManifest, data: bytes
    ) -> Sha256:
        for entry in manifest.files:
            _check_listed(directory, entry)
        for entry in manifest.files:
            self._publish_file(directory / entry.path, entry)
        digest = sha256_bytes(data)
        key = manifest_key(digest)
        if not self._backend.put(key, data) and self._backend.stored(key).sha256 != digest:
            log.warning("replacing corrupt manifest %s", digest)
            self._backend.replace(key, data)
        return digest

    def _publish_file(self, file: Path, entry: FileEntry) -> None:
        key = blob_key(entry.sha256)
        if not self._backend.exists(key) and self._backend.put_file(key, file):
            return
        if (actual := self._backend.stored(key).sha256) != entry.sha256:
            log.warning("replacing corrupt %s: expected %s, found %s", key, entry.sha256, actual)
            self._backend.replace(key, file)

    def fetch(self, digest: Sha256, into: Path, kind: type[M]) -> M:
        """Puts the files of the artifact into the folder `into` and returns its manifest.

        The manifest's bytes are checked against `digest` before they are parsed, each file's while
        it streams in; only then does any file take its name. After an error `into` is as it was.
        Raises ArtifactError, StoreError, or OSError when the local disk fails.
        """
        manifest = self._manifest(digest, kind)
        with _staging(into) as staging:
            for entry in manifest.files:
                target = staging / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    for block in self._checked(entry, digest):
                        file.write(block)
            for entry in manifest.files:
                target = into / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                (staging / entry.path).replace(target)
        return manifest

    def verify(self, digest: Sha256, kind: type[M]) -> M:
        """Reads every byte of the artifact and keeps none; raises as `fetch` does."""
        manifest = self._manifest(digest, kind)
        for entry in manifest.files:
            for _ in self._checked(entry, digest):
                pass
        return manifest

    def digests(self) -> list[Sha256]:
        """Names of all artifacts, sorted. Raises StoreError."""
        listed = map(manifest_digest, self._backend.keys_below(MANIFESTS))
        return [digest for digest in listed if digest is not None]

    def is_empty(self) -> bool:
        """Whether it holds nothing at all, as a volume that is not mounted. Raises StoreError."""
        return not any(self._backend.keys_below(folder) for folder in (MANIFESTS, BLOBS))

    def is_model(self, digest: Sha256) -> bool:
        """Whether it calls itself a model, whole or not; raises ArtifactError and StoreError."""
        schema = ModelManifest.model_fields["schema_"].default
        return f'"{schema}"'.encode() in self._manifest_bytes(digest)

    def _manifest_bytes(self, digest: Sha256) -> bytes:
        key = manifest_key(digest)
        try:
            data = self._backend.read(key, MANIFEST_LIMIT)
        except Absent as error:
            told = f"artifact {digest} is not in the store ({error}): {self._lost}"
            raise ArtifactDamaged(told, digest) from error
        except ArtifactError as error:
            raise ArtifactDamaged(f"manifest of artifact {digest}: {error}", digest) from error
        if (actual := sha256_bytes(data)) != digest:
            what = f"manifest of artifact {digest} ({key})"
            told = mismatch_text(what, expected=digest, actual=actual)
            raise ArtifactDamaged(told, digest)
        return data

    def _manifest(self, digest: Sha256, kind: type[M]) -> M:
        data = self._manifest_bytes(digest)
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            raise ArtifactError(
                f"artifact {digest} is not a usable {kind.model_fields['schema_'].default}: "
                + "; ".join(_lines(error))
            ) from error

    def _checked(self, entry: FileEntry, artifact: Sha256) -> Iterator[bytes]:
        """The file's blocks; raises ArtifactError at its end, or as soon as it is too long."""
        what = f"{entry.path} of artifact {artifact}"
        digest, size = hashlib.sha256(), 0
        try:
            for block in self._backend.blocks(blob_key(entry.sha256)):
                digest.update(block)
                size += len(block)
                if size > entry.bytes:
                    break
                yield block
        except Absent as error:
            told = f"{what} ({entry.sha256}) is missing from the store: {error}. Publish it again."
            raise ArtifactDamaged(told, artifact, entry.path) from error
        actual = PREFIX + digest.hexdigest()
        if size == entry.bytes and actual == entry.sha256:
            return
        expected, found = entry.sha256, f"{actual} ({size} bytes)"
        if size > entry.bytes:
            expected, found = (
                f"{expected} ({entry.bytes} bytes)",
                f"{actual} after {size} bytes and more",
            )
        told = mismatch_text(what, expected=expected, actual=found)
        raise ArtifactDamaged(told, artifact, entry.path)

    def put_result(
        self, release_uid: str, key: str, result: Result, *, replace: bool = False
    ) -> None:
        """Keeps what a Job reported. The first report stays, unless it is unreadable.

        `replace` is for the caller that found the artifact of the first report to be gone.
        """
        name = result_key(release_uid, key)
        data = result.to_json().encode()
        if self._backend.put(name, data):
            return
        if replace or self.get_result(release_uid, key) is None:
            log.warning("replacing %s", name)
            self._backend.replace(name, data)

    def get_result(self, release_uid: str, key: str) -> Result | None:
        """The kept report, or None when there is none that can be read."""
        name = result_key(release_uid, key)
        try:
            return Result.from_json(self._backend.read(name, TERMINATION_LIMIT).decode())
        except Absent:
            return None
        except (ValueError, ArtifactError) as error:
            log.warning("ignoring unreadable %s: %s", name, error)
            return None

    def fetch_dataset(self, uri: str, into: Path) -> Path:
        """The data set as a local file or folder.

        On a volume this is the set's own path; from a bucket the object, or all objects below the
        prefix, are copied into the folder `into`. Raises ArtifactError when the set is missing or
        lies outside of the store's volume or bucket.
        """
        return self._datasets.fetch(uri, into)


def _check_listed(directory: Path, entry: FileEntry) -> None:
    actual = sha256_file(regular_file(directory, entry.path))
    if actual != entry.sha256:
        raise mismatch(f"{entry.path} in {directory}", expected=entry.sha256, actual=actual)


@contextmanager
def _staging(into: Path) -> Iterator[Path]:
    """A folder inside `into` (so that a rename never crosses a mount), gone at the end."""
    made = not into.exists()
    into.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".fetching-", dir=into))
    try:
        yield staging
    except BaseException:
        shutil.rmtree(into if made else staging, ignore_errors=True)
        raise
    shutil.rmtree(staging, ignore_errors=True)


def _lines(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, item['loc'])) or 'manifest'}: {item['msg']}"
        for item in error.errors(include_url=False)[:5]
    ]
