"""The operator as a process of its own, with its own identity at the API server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.support.control_plane import ROOT, ControlPlane

IMAGES = {
    "LOCKSTEP_TRAINER_IMAGE": "lockstep.local/trainer:test",
    "LOCKSTEP_ENCODER_IMAGE": "lockstep.local/encoder:test",
    "LOCKSTEP_INDEXER_IMAGE": "lockstep.local/indexer:test",
}
LEASE_NAME = "lockstep-operator"
WRITES = ("create", "update", "patch", "delete", "deletecollection")
UNCOUNTED = ("leases", "events")


def wait_for(what: str, found: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Polls until `found()` is true; its value, or an AssertionError that says what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def service_account_kubeconfig(
    control_plane: ControlPlane, namespace: str, folder: Path, *, role: str = "cluster-admin"
) -> Path:
    """A ServiceAccount `operator` in the namespace, bound to a ClusterRole, as a kubeconfig."""
    control_plane.kubectl("create", "serviceaccount", "operator", "-n", namespace)
    control_plane.kubectl(
        *("create", "clusterrolebinding", f"operator-{namespace}"),
        *(f"--clusterrole={role}", f"--serviceaccount={namespace}:operator"),
    )
    return _kubeconfig(control_plane, namespace, folder)


def chart_kubeconfig(control_plane: ControlPlane, namespace: str, folder: Path) -> Path:
    """The ServiceAccount `operator` with the rights that the chart gives in namespaced mode."""
    helm = subprocess.run(
        [sys.executable, "-m", "devcluster", "helm-path"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    rendered = subprocess.run(
        [
            *(helm, "template", LEASE_NAME, str(ROOT / "charts" / "lockstep")),
            *("--namespace", namespace, "--show-only", "templates/rbac.yaml"),
            *("--set", "rbac.scope=Namespaced", "--set", f"watchNamespaces={{{namespace}}}"),
            *("--set", f"fullnameOverride={LEASE_NAME}"),
            *("--set", "serviceAccount.create=false", "--set", "serviceAccount.name=operator"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    control_plane.kubectl("create", "serviceaccount", "operator", "-n", namespace)
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=rendered)
    return _kubeconfig(control_plane, namespace, folder)


def _kubeconfig(control_plane: ControlPlane, namespace: str, folder: Path) -> Path:
    token = control_plane.kubectl(
        "create", "token", "operator", "-n", namespace, "--duration=6h"
    ).stdout.strip()
    admin = yaml.safe_load(control_plane.kubeconfig.read_text())
    admin["users"] = [{"name": "operator", "user": {"token": token}}]
    for context in admin["contexts"]:
        context["context"]["user"] = "operator"
    path = folder / f"{namespace}.kubeconfig"
    path.write_text(yaml.safe_dump(admin))
    return path


@dataclass
class OperatorProcess:
    """One `python -m lockstep_operator`. Its log is JSON lines in `log`."""

    kubeconfig: Path
    log: Path
    namespaces: tuple[str, ...]
    lease_namespace: str
    lease_seconds: float = 15.0
    resync_seconds: float = 600.0
    name: str = "operator-a"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> OperatorProcess:
        environment = os.environ | IMAGES
        environment |= {
            "KUBECONFIG": str(self.kubeconfig),
            "POD_NAME": self.name,
            "POD_NAMESPACE": self.lease_namespace,
            "LOCKSTEP_WATCH_NAMESPACES": ",".join(self.namespaces),
            "LOCKSTEP_HEALTH_PORT": str(self.port),
            "LOCKSTEP_LEASE_SECONDS": str(self.lease_seconds),
            "LOCKSTEP_RESYNC_SECONDS": str(self.resync_seconds),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lockstep_operator"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Sends a signal and returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.send(number)
        return self.process.wait(seconds)

    def probe(self, path: str) -> tuple[int, str]:
        """HTTP code and body; code 0 while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """Sum of a metric's series, whatever their labels."""
        text = self.probe("/metrics")[1]
        lines = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for value in lines)

    def leads(self) -> bool:
        return self.metric("lockstep_leader") == 1.0 and self.probe("/readyz")[0] == 200

    def resident_mib(self) -> float:
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def lines(self) -> list[dict[str, Any]]:
        """The log's JSON lines."""
        found = []
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                found.append(json.loads(line))
        return found


@dataclass(frozen=True)
class Writes:
    """Writes of one ServiceAccount in the audit log, from a mark on. Lease and Events apart."""

    control_plane: ControlPlane
    user: str
    offset: int

    @classmethod
    def since_now(cls, control_plane: ControlPlane, namespace: str) -> Writes:
        user = f"system:serviceaccount:{namespace}:operator"
        return cls(control_plane, user, control_plane.audit_log.stat().st_size)

    def all(self) -> list[dict[str, Any]]:
        found = []
        with self.control_plane.audit_log.open("rb") as log:
            log.seek(self.offset)
            for line in log:
                entry = json.loads(line)
                if entry["user"]["username"] != self.user or entry["verb"] not in WRITES:
                    continue
                if entry.get("stage", "ResponseComplete") != "ResponseComplete":
                    continue
                if entry["objectRef"]["resource"] not in UNCOUNTED:
                    found.append(entry)
        return found

    def counted(self) -> Counter[str]:
        """`verb resource[/subresource] code` -> how often."""
        names: Counter[str] = Counter()
        for entry in self.all():
            reference = entry["objectRef"]
            resource = "/".join(
                part for part in (reference["resource"], reference.get("subresource")) if part
            )
            names[f"{entry['verb']} {resource} {entry['responseStatus']['code']}"] += 1
        return names

    def settled(self, seconds: float = 2.0) -> Counter[str]:
        """The count, once no write came for `seconds`."""
        before = self.counted()
        still_since = time.monotonic()
        while time.monotonic() - still_since < seconds:
            time.sleep(0.2)
            now = self.counted()
            if now != before:
                before, still_since = now, time.monotonic()
        return before
