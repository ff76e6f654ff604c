"""kubectl as the tests use it: objects as dicts, waits that explain what they last saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


def devcluster(*arguments: str) -> str:
    """Standard output of a verb of the dev cluster."""
    return (
        subprocess.run(
            [sys.executable, "-m", "devcluster", *arguments], check=True, stdout=subprocess.PIPE
        )
        .stdout.decode()
        .strip()
    )


@dataclass(frozen=True)
class Kube:
    """The cluster's kubectl and Helm."""

    kubeconfig: str
    kubectl_path: str
    helm_path: str

    @classmethod
    def find(cls) -> Kube:
        return cls(
            devcluster("kubeconfig"),
            devcluster("kubectl-path"),
            devcluster("helm-path", "--major", "4"),
        )

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Standard output of kubectl. A failure raises with kubectl's own words."""
        done = subprocess.run(
            [self.kubectl_path, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "KUBECONFIG": self.kubeconfig},
            timeout=300,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def helm(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.helm_path, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "KUBECONFIG": self.kubeconfig},
            timeout=300,
        )
        if done.returncode:
            raise AssertionError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: Object, server_side: bool = False) -> None:
        """`server_side`: for what is too large for the annotation of the other way."""
        listing = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        how = ("--server-side",) if server_side else ()
        self.run("apply", *how, "-f", "-", stdin=json.dumps(listing))

    def get(self, namespace: str, kind: str, name: str) -> Object | None:
        text = self.run("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, namespace: str, kind: str, selector: str = "") -> list[Object]:
        options = ["-l", selector] if selector else []
        text = self.run("get", kind, "-n", namespace, "-o", "json", *options)
        items: list[Object] = json.loads(text)["items"]
        return items


def wait_until(
    look: Callable[[], Any], *, what: str, seconds: float = 240, every: float = 0.5
) -> Any:
    """The first truthy look. Fails with what was waited for and the last look."""
    deadline = time.monotonic() + seconds
    found = look()
    while not found:
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}; last seen: {found!r}")
        time.sleep(every)
        found = look()
    return found
