"""Manifests, digests and the artifact store: the only code that knows how artifacts are kept."""

from lockstep_core.artifacts.digests import (
    digest_of_files,
    sha256_bytes,
    sha256_file,
    sha256_stream,
    space_id,
)
from lockstep_core.artifacts.errors import (
    ArtifactDamaged,
    ArtifactError,
    StoreError,
    StoreUnsuitable,
)
from lockstep_core.artifacts.manifest import (
    BuildManifest,
    FileEntry,
    InputKind,
    InputSpec,
    Manifest,
    ModelManifest,
    Role,
    describe_files,
    model_digest,
)
from lockstep_core.artifacts.store import ArtifactStore

__all__ = [
    "ArtifactDamaged",
    "ArtifactError",
    "ArtifactStore",
    "BuildManifest",
    "FileEntry",
    "InputKind",
    "InputSpec",
    "Manifest",
    "ModelManifest",
    "Role",
    "StoreError",
    "StoreUnsuitable",
    "describe_files",
    "digest_of_files",
    "model_digest",
    "sha256_bytes",
    "sha256_file",
    "sha256_stream",
    "space_id",
]
