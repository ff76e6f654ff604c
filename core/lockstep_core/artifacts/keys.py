"""The layout of a store: under which key what lies.

    <root>/blobs/sha256/<hex>                 a file of an artifact
    <root>/manifests/sha256/<hex>             a manifest, written after all of its files
    <root>/results/<release uid>/<key>.json   what a finished Job reported
    <root>/checkpoints/<release uid>/         the trainer's own (`ArtifactStore.backend`)

It is that of an OCI image layout in all but names: equal files are kept once, and a key tells which
bytes belong there.
"""

from __future__ import annotations

import re
from pathlib import Path

from lockstep_core.artifacts.digests import PREFIX
from lockstep_core.artifacts.errors import ArtifactError, StoreError
from lockstep_core.protocol.base import Sha256

MANIFESTS = "manifests/sha256"
BLOBS = "blobs/sha256"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def blob_key(digest: Sha256) -> str:
    """Raises ArtifactError for what is no digest."""
    return f"{BLOBS}/{_hex(digest)}"


def manifest_key(digest: Sha256) -> str:
    """Raises ArtifactError for what is no digest."""
    return f"{MANIFESTS}/{_hex(digest)}"


def manifest_digest(key: str) -> Sha256 | None:
    """The digest that `manifest_key` made `key` of; None for the key of anything else."""
    digest = PREFIX + Path(key).name
    return digest if _DIGEST.fullmatch(digest) else None


def result_key(release_uid: str, key: str) -> str:
    """Raises StoreError for names that could lead out of the folder of results."""
    for name in (release_uid, key):
        if not _NAME.fullmatch(name):
            raise StoreError(f"{name!r} cannot name a result: letters, digits, '.', '_' and '-'")
    return f"results/{release_uid}/{key}.json"


def _hex(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ArtifactError(f"{digest!r} is not a digest: sha256:<64 hex digits> is expected")
    return digest.removeprefix(PREFIX)
