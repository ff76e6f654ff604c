"""The backend for a machine with Docker: kind does the work."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devcluster import volumes
from devcluster.backend import Addon, Build, UpOptions
from devcluster.disk import Need, environments
from devcluster.layout import Layout
from devcluster.report import DevclusterError, step

NODE_IMAGE = "kindest/node:v1.34.0"
VOLUMES = "/var/lib/lockstep-volumes"


def _run(*command: str, stdin: str | None = None, show: bool = False) -> str:
    done = subprocess.run(
        command,
        input=stdin,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise DevclusterError(f"{' '.join(command[:3])} failed: {(done.stderr or '').strip()}")
    return done.stdout or ""


class KindBackend:
    """A cluster of one node in a container."""

    def __init__(self, name: str) -> None:
        if shutil.which("kind") is None or shutil.which("docker") is None:
            raise DevclusterError("the kind face needs docker and kind; try --face host")
        self._layout = Layout(name)
        self._name = name
        self._node = f"{name}-control-plane"

    def _exists(self) -> bool:
        return self._name in _run("kind", "get", "clusters").split()

    def _kubectl(self, *arguments: str, stdin: str = "") -> str:
        if shutil.which("kubectl") is None:
            raise DevclusterError("kubectl is needed beside kind")
        return _run("kubectl", f"--kubeconfig={self.kubeconfig()}", *arguments, stdin=stdin)

    def up(self, options: UpOptions) -> None:
        if options.control_plane_only or options.audit:
            raise DevclusterError("--control-plane-only and --audit need --face host")
        if options.fresh and self._exists():
            self.down(purge=False)
        self._layout.make()
        path = str(self.kubeconfig())
        if self._exists():
            _run("kind", "export", "kubeconfig", "--name", self._name, "--kubeconfig", path)
        else:
            command = ["kind", "create", "cluster", "--name", self._name, "--image", NODE_IMAGE]
            _run(*command, "--kubeconfig", path, "--wait", "120s", show=True)
        self.create_volume(volumes.SHIPPED, None)
        step(f"cluster {self._name} is up")

    def down(self, *, purge: bool) -> None:
        _run("kind", "delete", "cluster", "--name", self._name, show=True)
        if purge:
            shutil.rmtree(self._layout.root, ignore_errors=True)

    def status(self) -> dict[str, Any]:
        known = {"name": self._name, "face": "kind", "mode": "node"}
        if not self._exists():
            return {**known, "state": "stopped", "nodeReady": False}
        nodes = json.loads(self._kubectl("get", "nodes", "-o", "json"))["items"]
        ready = any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for node in nodes
            for condition in node["status"]["conditions"]
        )
        state = "running" if ready else "degraded"
        path = str(self.kubeconfig())
        return {**known, "state": state, "nodeReady": ready, "kubeconfig": path}

    def needs(self, target: str) -> list[Need]:
        # Images and their layers are on Docker's disk, which may be another machine's.
        return environments(target)

    def kubeconfig(self) -> Path:
        return self._layout.kubeconfig

    def load(self, build: Build) -> None:
        command = ["docker", "build", "-t", build.image, "-f", str(build.file)]
        for name, value in build.build_args.items():
            command += ["--build-arg", f"{name}={value}"]
        _run(*command, str(build.context), show=True)
        _run("kind", "load", "docker-image", build.image, "--name", self._name, show=True)

    def images(self) -> Sequence[Any]:
        listed = json.loads(_run("docker", "exec", self._node, "crictl", "images", "-o", "json"))
        return [
            {"name": tag, "digest": image["id"], "size": int(image["size"])}
            for image in listed["images"]
            for tag in image.get("repoTags", [])
        ]

    def addon(self, name: str) -> Addon:
        # Host processes that call pods by their addresses, which a host does not reach in kind.
        raise DevclusterError(f"`{name}` needs the host face: `up --face host`")

    def create_volume(self, name: str, claim: str | None) -> None:
        path = f"{VOLUMES}/{name}"
        _run("docker", "exec", self._node, "mkdir", "-p", path)
        owner = f"{volumes.OWNER}:{volumes.OWNER}"
        _run("docker", "exec", self._node, "chown", owner, path)
        volumes.create(self._kubectl, name, path, claim)

    def delete_volume(self, name: str) -> None:
        volumes.delete(self._kubectl, name)
        _run("docker", "exec", self._node, "rm", "-rf", f"{VOLUMES}/{name}")
