"""A real API server, etcd and controller-manager with our CRDs, for every cluster test.

`control_plane` is made once a session and removed after it. Set LOCKSTEP_CONTROL_PLANE to the name
of a control plane of yours (`python -m devcluster up --control-plane-only --name mine`) to use it
again and again while you write tests: it is left as it is, CRDs apart.

`namespace` is a fresh namespace for one test, removed in the background after it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import Cluster, Launch
from tests.cluster.support.operator_process import (
    OperatorProcess,
    Writes,
    chart_kubeconfig,
    wait_for,
)

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """The control plane, with the CRDs of `crds/` established."""
    kept = os.environ.get("LOCKSTEP_CONTROL_PLANE")
    name = kept or f"tests-{os.getpid()}"
    if not kept:
        _devcluster("up", "--control-plane-only", "--fresh", "--name", name)
    try:
        found = ControlPlane.find(name)
        found.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
        found.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield found
    finally:
        if not kept:
            _devcluster("down", "--name", name, "--purge")


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    name = f"t-{uuid.uuid4().hex[:10]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def cluster(control_plane: ControlPlane, namespace: str) -> Cluster:
    return Cluster(control_plane, namespace)


@pytest.fixture
def launch(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Launch]:
    """Starts operators of this namespace, and ends those that still run."""
    kubeconfig = chart_kubeconfig(control_plane, namespace, tmp_path)
    started: list[OperatorProcess] = []

    def start(**options: Any) -> OperatorProcess:
        name = options.pop("name", f"operator-{len(started)}")
        wait = options.pop("wait", True)
        process = OperatorProcess(
            kubeconfig=kubeconfig,
            log=tmp_path / f"{name}.log",
            namespaces=(namespace,),
            lease_namespace=namespace,
            name=name,
            **options,
        ).start()
        started.append(process)
        if wait:
            wait_for(f"{name} leads", process.leads, 45)
        return process

    yield start
    for process in started:
        process.stop(signal.SIGKILL)


@pytest.fixture
def writes(control_plane: ControlPlane, namespace: str) -> Writes:
    return Writes.since_now(control_plane, namespace)


@pytest.fixture
def kubelet(control_plane: ControlPlane, namespace: str) -> Iterator[Kubelet]:
    playing = Kubelet(control_plane, namespace).start()
    yield playing
    playing.stop()


def _devcluster(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "devcluster", *arguments], cwd=ROOT, check=True)
