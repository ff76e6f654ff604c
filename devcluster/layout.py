"""Where everything lives. Nothing else in the package spells a folder of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcluster.report import DevclusterError, step

DEFAULT_NAME = "lockstep"
DEFAULT_CONTROL_PLANE_NAME = "control-plane"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


def state_root() -> Path:
    """The folder of built programs, the base image and all clusters."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    # Resolved, because the kernel lists mounts by their real path.
    return Path(cache).resolve() / "lockstep" / "devcluster"


def bin_dir() -> Path:
    """Built programs, one file per program and hash of its sources."""
    return state_root() / "bin"


def clusters_dir() -> Path:
    """One folder per cluster."""
    return state_root() / "clusters"


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold a machine-wide lock; a second caller waits, and is told that it waits."""
    folder = state_root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            step(f"waiting for another devcluster command ({name})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Layout:
    """The files of one cluster."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DevclusterError(
                f"cluster name {self.name!r}: 1 to 30 of a-z, 0-9 and '-', not at an end"
            )

    @property
    def root(self) -> Path:
        return clusters_dir() / self.name

    @property
    def settings(self) -> Path:
        return self.root / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.root / "logs" / "audit.jsonl"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def loaded_images(self) -> Path:
        """Names of the images that were loaded: what a pod may count on."""
        return self.root / "images.json"

    @property
    def containerd_root(self) -> Path:
        return self.root / "containerd"

    @property
    def containerd_state(self) -> Path:
        return self.run / "containerd"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def kubelet_root(self) -> Path:
        return self.root / "kubelet"

    @property
    def buildkit_root(self) -> Path:
        return self.root / "buildkit"

    @property
    def buildkit_socket(self) -> Path:
        return self.run / "buildkitd.sock"

    def make(self) -> None:
        """Create the folders; the cluster's own is closed to others, as it holds keys."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.pki, self.config, self.logs, self.run, self.volumes):
            folder.mkdir(exist_ok=True)
        self.pki.chmod(0o700)
