"""The cluster as the demo uses it: kubectl and Helm as programs, and what is read by the API."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep_kubectl.api import Api, ApiError, Object
from lockstep_kubectl.gather import Snapshot, Unknown, read

NAMESPACE = "glyphs"
MODEL = "glyphs"
CLAIM = "lockstep-artifacts"
BINDING_SECONDS = 60.0


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

    def api(self) -> Api:
        """The API server."""
        return Api.connect(self.kubeconfig)


def get(api: Api, path: str) -> Object | None:
    """The JSON at a path; None where there is none, or no answer now."""
    try:
        return api.get(path)
    except (ApiError, ValueError):
        return None


def look(api: Api) -> Snapshot | None:
    """The model with all that belongs to it; None while there is none, or no answer now."""
    try:
        snapshots = read(api, NAMESPACE, MODEL)
    except (Unknown, ApiError):
        return None
    return snapshots[0] if snapshots else None


def binds_at_first_use(storage_class: Object | None) -> bool:
    """Whether a claim of the class is bound only when a pod asks for it."""
    return (storage_class or {}).get("volumeBindingMode") == "WaitForFirstConsumer"


def wait_until_bound(
    api: Api,
    *,
    seconds: float = BINDING_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Any] = time.sleep,
) -> bool:
    """Whether the claim is bound. Does not wait where a pod must come first."""
    path = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/{CLAIM}"
    end = clock() + seconds
    while True:
        claim = get(api, path) or {}
        if (claim.get("status") or {}).get("phase") == "Bound":
            return True
        name = (claim.get("spec") or {}).get("storageClassName")
        classes = f"/apis/storage.k8s.io/v1/storageclasses/{name}"
        if clock() >= end or (name and binds_at_first_use(get(api, classes))):
            return False
        sleep(0.5)
