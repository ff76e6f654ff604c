"""What a cluster can do, whatever runs it, and the choice between the two that can."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from devcluster.disk import Need
from devcluster.report import DevclusterError


@dataclass(frozen=True)
class UpOptions:
    """What `up` was asked for; None leaves what the cluster already has."""

    control_plane_only: bool = False
    audit: bool = False
    fresh: bool = False
    port: int | None = None


@dataclass(frozen=True)
class Build:
    """One image: its name, its Dockerfile, its context and build arguments."""

    image: str
    file: Path
    context: Path
    build_args: dict[str, str]


class Addon(Protocol):
    """A real part outside the cluster: a gateway, Prometheus, metrics-server."""

    def endpoint(self) -> str | None: ...

    def up(self, *, port: int) -> str: ...

    def down(self) -> None: ...


class Backend(Protocol):
    """What a cluster of either kind can do."""

    def up(self, options: UpOptions) -> None: ...

    def down(self, *, purge: bool) -> None: ...

    def status(self) -> dict[str, Any]: ...

    def needs(self, target: str) -> list[Need]: ...

    def kubeconfig(self) -> Path: ...

    def load(self, build: Build) -> None: ...

    def images(self) -> Sequence[Any]: ...

    def addon(self, name: str) -> Addon: ...

    def create_volume(self, name: str, claim: str | None) -> None: ...

    def delete_volume(self, name: str) -> None: ...


def docker_answers() -> bool:
    """Whether a Docker daemon answers and kind is there to use it."""
    if shutil.which("docker") is None or shutil.which("kind") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def choose(forced: str | None, *, control_plane_only: bool) -> str:
    """`kind` or `host`: a control plane alone is always processes of the host."""
    if forced not in (None, "", "kind", "host"):
        raise DevclusterError(f"no face {forced!r}: kind or host")
    if forced:
        return forced
    return "kind" if not control_plane_only and docker_answers() else "host"
