"""The cluster as the demo uses it: kubectl, Helm, and the API server through `kubectl proxy`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMESPACE = "glyphs"
MODEL = "glyphs"


def devcluster(*arguments: str) -> str:
    """Output of a verb of the dev cluster."""
    done = subprocess.run(
        [sys.executable, "-m", "devcluster", *arguments], check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode().strip()


@dataclass(frozen=True)
class Cluster:
    """Paths of the tools and of the kubeconfig."""

    kubeconfig: str
    kubectl_path: str
    helm_path: str

    @classmethod
    def find(cls) -> Cluster:
        return cls(
            kubeconfig=devcluster("kubeconfig"),
            kubectl_path=devcluster("kubectl-path"),
            helm_path=devcluster("helm-path", "--major", "4"),
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": self.kubeconfig}

    def kubectl(self, *arguments: str) -> bytes:
        """Standard output of kubectl; its errors go to the terminal."""
        return subprocess.run(
            [self.kubectl_path, *arguments],
            check=True,
            stdout=subprocess.PIPE,
            env=self._environment(),
        ).stdout

    def helm_install(self, chart: Path) -> None:
        """Installs or upgrades the chart into `lockstep-system`."""
        subprocess.run(
            [
                *(self.helm_path, "upgrade", "--install", "lockstep", str(chart)),
                *("--namespace", "lockstep-system", "--create-namespace"),
                *("--set", "registry=lockstep.local,image.tag=dev", "--wait", "--timeout", "3m"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            env=self._environment(),
        )

    @contextmanager
    def api(self) -> Iterator[Api]:
        """The API server over plain HTTP on a free loopback port, for as long as needed."""
        proxy = subprocess.Popen(
            [self.kubectl_path, "proxy", "--port=0"],
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment(),
        )
        try:
            assert proxy.stdout is not None
            found = re.search(r"127\.0\.0\.1:\d+", proxy.stdout.readline())
            if found is None:
                raise RuntimeError("kubectl proxy did not say where it listens")
            yield Api(f"http://{found.group()}")
        finally:
            proxy.terminate()
            proxy.wait()


@dataclass(frozen=True)
class Api:
    """GET and POST of JSON through `kubectl proxy`."""

    root: str

    def get(self, path: str) -> Any:
        """The JSON at `path`; None when there is none (yet)."""
        try:
            with urllib.request.urlopen(self.root + path, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.HTTPError, TimeoutError, ConnectionError, ValueError):
            return None

    def list(self, group: str, plural: str, selector: str = "") -> list[dict[str, Any]]:
        query = f"?labelSelector={selector}" if selector else ""
        found = self.get(f"/{group}/namespaces/{NAMESPACE}/{plural}{query}")
        return found["items"] if found else []

    def own(self, plural: str, name: str | None = None) -> Any:
        """Objects of our kinds: one by name, or all."""
        base = f"/apis/lockstep.dev/v1alpha1/namespaces/{NAMESPACE}/{plural}"
        if name:
            return self.get(f"{base}/{name}")
        return (self.get(base) or {"items": []})["items"]

    def pod_progress(self, pod: str, port: int = 9100) -> dict[str, Any] | None:
        """`/progress` of a Job's pod, through the API server's proxy."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{port}/proxy/progress"
        found: dict[str, Any] | None = self.get(path)
        return found

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        """A search at the model's entry point."""
        request = urllib.request.Request(
            f"{self.root}/api/v1/namespaces/{NAMESPACE}/services/{MODEL}:8080/proxy/v1/search",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
