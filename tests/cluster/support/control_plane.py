"""What a cluster test asks of the control plane."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class ControlPlane:
    """A running API server. `audit_log` has a JSON line for each write, with its user."""

    name: str
    kubeconfig: Path
    audit_log: Path
    kubectl_path: Path

    @classmethod
    def find(cls, name: str) -> ControlPlane:
        """The running dev cluster of that name."""
        status = json.loads(_devcluster("status", "--name", name, "--json"))
        return cls(
            name=name,
            kubeconfig=Path(status["kubeconfig"]),
            audit_log=Path(status["auditLog"]),
            kubectl_path=Path(_devcluster("kubectl-path")),
        )

    def kubectl(
        self, *arguments: str, stdin: object = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl; `stdin` is sent as it is when text, else as JSON.

        Raises AssertionError with kubectl's own words when it fails and `check` is set.
        """
        text = stdin if stdin is None or isinstance(stdin, str) else json.dumps(stdin)
        done = subprocess.run(
            [self.kubectl_path, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """The stored object."""
        done = self.kubectl("get", kind, name, "-n", namespace, "-o", "json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def set_status(self, kind: str, name: str, namespace: str, status: object) -> None:
        """Writes the status subresource, as the operator does."""
        self.kubectl(
            *("patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge"),
            *("-p", json.dumps({"status": status})),
        )


def _devcluster(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "devcluster", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
