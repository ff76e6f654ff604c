"""Images of one static program need no builder: an OCI archive is a few JSON files."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    # No time and no owner: the same program gives the same digest.
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def write_archive(path: Path, *, image: str, program: Path, entrypoint: str) -> None:
    """Write an OCI archive whose only file is `program`, at /`entrypoint`."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, entrypoint, program.read_bytes(), 0o755)
    blobs: dict[str, bytes] = {}

    def blob(media_type: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def document(kind: str, value: object) -> dict[str, object]:
        return blob(f"application/vnd.oci.image.{kind}", json.dumps(value).encode())

    layer_blob = blob("application/vnd.oci.image.layer.v1.tar", layer.getvalue())
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{entrypoint}"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [layer_blob["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": document("config.v1+json", config),
        "layers": [layer_blob],
    }
    listed = document("manifest.v1+json", manifest)
    listed["annotations"] = {"io.containerd.image.name": image}
    index = {"schemaVersion": 2, "manifests": [listed]}
    with tarfile.open(path, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for digest, content in blobs.items():
            _add(archive, f"blobs/sha256/{digest}", content)
