"""Objects by key: the one place that calls obstore. No meaning, only bytes and typed failures."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from lockstep_core.artifacts.digests import PREFIX
from lockstep_core.artifacts.errors import ArtifactError, StoreError, StoreUnsuitable
from lockstep_core.protocol.storage import ArtifactsSpec

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

BLOCK = 4 * 1024 * 1024
# Larger objects go up in parts. Parts cannot be create-only, which is harmless: a key is the digest
# of its bytes, and the caller has looked first.
SINGLE_PUT_LIMIT = 64 * 1024 * 1024
# An unreachable store is reported within a minute, so that the Job ends and its retry backs off.
RETRIES: RetryConfig = {"max_retries": 7, "retry_timeout": timedelta(seconds=45)}
ONCE: RetryConfig = {"max_retries": 0}
CLIENT: ClientConfig = {"connect_timeout": "5s", "timeout": "10m"}


_NOT_IMPLEMENTED = ("501 Not Implemented", "<Code>NotImplemented</Code>")


class Absent(Exception):
    """No object has this key."""


@dataclass(frozen=True)
class Stored:
    """What one read of an object found, without keeping it."""

    sha256: str
    bytes: int


def local_root(uri: str) -> Path | None:
    """The folder of a `file://` URI, taken as it stands (no percent-decoding); None for others."""
    return Path(uri.removeprefix("file://")) if uri.startswith("file://") else None


def bucket_of(uri: str) -> str:
    """`scheme://bucket` of a cloud URI."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def prefix_of(uri: str) -> str:
    return urlsplit(uri).path.strip("/")


def connect(
    spec: ArtifactsSpec, prefix: str, *, field: str = "artifacts.uri", retry: bool = True
) -> ObjectStore:
    """The store behind `spec`, rooted at `prefix` of its bucket; messages name its URI by `field`.

    Credentials come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`), never from the spec.
    Without `retry` each request is tried once.
    Raises StoreError when a `file://` root is not there: creating it would write the artifacts
    into the container's own file system, where they are lost with the pod.
    """
    root = local_root(spec.uri)
    if root is not None and not root.is_dir():
        raise StoreError(
            f"{field} {spec.uri}: {root} is not a folder. In a pod, mount the volume of"
            f" artifacts.claimName there; elsewhere make it first: mkdir -p {root}"
        )
    with failures(f"open {spec.uri}"):
        if root is not None:
            return LocalStore(root)
        return _connect_bucket(spec, prefix or None, RETRIES if retry else ONCE)


def _connect_bucket(spec: ArtifactsSpec, prefix: str | None, retries: RetryConfig) -> ObjectStore:
    parts = urlsplit(spec.uri)
    if not parts.netloc:
        raise StoreError(f"artifacts.uri {spec.uri} names no bucket: write {parts.scheme}://BUCKET")
    if parts.scheme == "gs":
        return GCSStore(parts.netloc, prefix=prefix, client_options=CLIENT, retry_config=retries)
    if parts.scheme == "az":
        return AzureStore(parts.netloc, prefix=prefix, client_options=CLIENT, retry_config=retries)
    plain = (spec.endpoint or "").startswith("http://")
    # S3-compatible servers rarely answer to bucket host names.
    config: S3Config = {"virtual_hosted_style_request": False}
    if spec.endpoint:
        config["endpoint"] = spec.endpoint
    if spec.region:
        config["region"] = spec.region
    return S3Store(
        parts.netloc,
        prefix=prefix,
        config=config,
        client_options={**CLIENT, "allow_http": plain},
        retry_config=retries,
    )


@contextmanager
def failures(what: str) -> Iterator[None]:
    """Every failure but absence becomes a StoreError that says what was tried."""
    try:
        yield
    except FileNotFoundError as error:
        raise Absent(_first_line(error)) from error
    except AlreadyExistsError:
        raise
    except (BaseError, OSError, ValueError) as error:
        raise StoreError(f"cannot {what}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    # obstore appends a debug dump that says the same once more.
    return str(error).split("\n", 1)[0]


class Backend:
    """One store, one prefix."""

    def __init__(
        self, store: ObjectStore, root: Path | None, *, once: ObjectStore | None = None
    ) -> None:
        """`once` is the same store without retries, for the first write that is create-only."""
        self._store = store
        self._root = root
        self._once = once

    @classmethod
    def open(cls, spec: ArtifactsSpec, prefix: str, *, field: str = "artifacts.uri") -> Backend:
        """See `connect`."""
        root = local_root(spec.uri)
        once = None if root is not None else connect(spec, prefix, field=field, retry=False)
        return cls(connect(spec, prefix, field=field), root, once=once)

    def put(self, key: str, data: bytes) -> bool:
        """Writes unless the key exists. True when it was written."""
        try:
            self._write(key, data, create=True)
        except AlreadyExistsError:
            return False
        return True

    def put_file(self, key: str, file: Path) -> bool:
        """As `put`, from a file; above `SINGLE_PUT_LIMIT` the caller must have looked first."""
        try:
            self._write(key, file, create=file.stat().st_size <= SINGLE_PUT_LIMIT)
        except AlreadyExistsError:
            return False
        return True

    def replace(self, key: str, data: bytes | Path) -> None:
        """Writes in one step over whatever is there."""
        self._write(key, data, create=False)

    def _write(self, key: str, data: bytes | Path, *, create: bool) -> None:
        try:
            with failures(f"write {key}"):
                if create:
                    self._create(key, data)
                else:
                    obstore.put(self._store, key, data, mode="overwrite")
                self._make_durable(key)
        except Absent as error:
            raise StoreError(f"cannot write {key}: {error}") from error

    def _create(self, key: str, data: bytes | Path) -> None:
        """Raises AlreadyExistsError, and StoreUnsuitable when the bucket cannot tell."""
        if self._once is not None:
            try:
                obstore.put(self._once, key, data, mode="create")
            except AlreadyExistsError:
                self._once = None
                raise
            except BaseError as error:
                # A client that retries takes this for an outage.
                if any(sign in str(error) for sign in _NOT_IMPLEMENTED):
                    raise StoreUnsuitable(
                        f"cannot write {key}: the bucket does not know conditional writes"
                        " (If-None-Match), by which two programs never write over one another:"
                        f" take an object store that does ({_first_line(error)[:300]})"
                    ) from error
            else:
                self._once = None
                return
        obstore.put(self._store, key, data, mode="create")

    def _make_durable(self, key: str) -> None:
        """On a volume: a manifest must not outlive, in a power cut, the files that it names."""
        if self._root is None:
            return
        path = self._root / key
        for target in (path, path.parent):
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def delete(self, key: str) -> None:
        """Removes the object; one that is not there is as good."""
        try:
            with failures(f"delete {key}"):
                obstore.delete(self._store, key)
        except Absent:
            return

    def delete_folder(self, prefix: str) -> None:
        """Removes every object below the folder `prefix`, and what torn writes left there."""
        for key in self.keys_below(prefix):
            self.delete(key)
        if self._root is not None:
            # A write that a kill cut off leaves a file that no key names.
            shutil.rmtree(self._root / prefix, ignore_errors=True)

    def exists(self, key: str) -> bool:
        try:
            with failures(f"look for {key}"):
                obstore.head(self._store, key)
        except Absent:
            return False
        return True

    def read(self, key: str, limit: int) -> bytes:
        """The whole object. Raises Absent; ArtifactError when it is larger than `limit` bytes."""
        with failures(f"read {key}"):
            stored = obstore.get(self._store, key)
            size = stored.meta["size"]
            if size > limit:
                raise ArtifactError(
                    f"{key} has {size} bytes, more than the {limit} that are allowed"
                )
            return bytes(stored.bytes())

    def blocks(self, key: str) -> Iterator[bytes]:
        """The object in blocks of about `BLOCK` bytes. Raises Absent."""
        with failures(f"read {key}"):
            for block in obstore.get(self._store, key).stream(min_chunk_size=BLOCK):
                yield bytes(block)

    def get_file(self, key: str, file: Path) -> None:
        """The object as `file`, a block at a time. Raises Absent."""
        with file.open("wb") as target:
            for block in self.blocks(key):
                target.write(block)

    def stored(self, key: str) -> Stored:
        """Reads the object once, keeps none of it. Raises Absent."""
        digest, size = hashlib.sha256(), 0
        for block in self.blocks(key):
            digest.update(block)
            size += len(block)
        return Stored(PREFIX + digest.hexdigest(), size)

    def keys_below(self, prefix: str) -> list[str]:
        """Sorted keys of all objects below the folder `prefix`."""
        return [key for key, _ in self.sizes_below(prefix)]

    def sizes_below(self, prefix: str) -> list[tuple[str, int]]:
        """As `keys_below`, each with the bytes of its object."""
        try:
            with failures(f"list {prefix}"):
                pages = obstore.list(self._store, prefix)
                return sorted((item["path"], item["size"]) for page in pages for item in page)
        except Absent as error:
            raise StoreError(f"cannot list {prefix}: {error}") from error
