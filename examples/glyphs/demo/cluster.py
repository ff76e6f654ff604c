"""The cluster as the demo uses it: kubectl, Helm, and the API server."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lockstep_kubectl.api import Api

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

    def api(self) -> Api:
        """The API server, as `kubectl lockstep` reads it."""
        return Api.connect(self.kubeconfig)
