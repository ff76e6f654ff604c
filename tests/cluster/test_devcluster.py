"""The development cluster itself: a control plane comes up twice, survives the death of
everything at once, and leaves nothing when it goes down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = f"selftest-{os.getpid()}"
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "waits", "namespace": "default"},
    "spec": {
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "none", "image": "lockstep.local/none:1"}],
            }
        }
    },
}


def devcluster(verb: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "devcluster", verb, "--name", NAME, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def up(*arguments: str) -> float:
    """Bring the control plane up; how many seconds it took."""
    started = time.monotonic()
    devcluster("up", "--control-plane-only", *arguments)
    return time.monotonic() - started


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(devcluster("status", "--json"))
    return found


def pids() -> list[int]:
    return [process["pid"] for process in status()["processes"] if process["pid"]]


def kubectl(*arguments: str, stdin: str = "") -> str:
    path = subprocess.run(
        [sys.executable, "-m", "devcluster", "kubectl-path"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    command = [path, "--kubeconfig", devcluster("kubeconfig").strip(), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def processes_with(text: str) -> list[str]:
    """Command lines on this machine that hold a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


@pytest.fixture(autouse=True, scope="module")
def control_plane() -> Iterator[None]:
    up()
    yield
    devcluster("down", "--purge")


def test_second_up_finds_it_healthy_at_once() -> None:
    before = pids()
    assert up() < 3
    assert pids() == before
    assert status()["state"] == "running"


def test_a_job_gets_a_pod_that_stays_pending_and_its_writes_are_audited() -> None:
    kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(JOB))
    pod_phase = ("get", "pods", "-l", "job-name=waits", "-o", "jsonpath={.items[*].status.phase}")
    deadline = time.monotonic() + 10
    while (phase := kubectl(*pod_phase)) != "Pending" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert phase == "Pending"
    entries = [json.loads(line) for line in Path(status()["auditLog"]).read_text().splitlines()]
    writers = {
        (entry["verb"], entry["user"]["username"], entry["responseStatus"]["code"])
        for entry in entries
        if entry["objectRef"].get("resource") == "jobs"
    }
    assert ("patch", "lockstep-admin", 201) in writers
    assert {entry["stage"] for entry in entries} == {"ResponseComplete"}
    assert not {"get", "list", "watch"} & {entry["verb"] for entry in entries}


@pytest.mark.parametrize("pid_files", ["kept", "lost"])
def test_up_repairs_the_death_of_every_process(pid_files: str) -> None:
    kubectl("create", "configmap", f"survives-{pid_files}")
    run = Path(status()["kubeconfig"]).parent / "run"
    victims = pids()
    if pid_files == "lost":
        # One that lives on without its pid file holds the ports and the database.
        victims = victims[:-1]
        for path in run.glob("*.pid"):
            path.unlink()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert status()["state"] == "stopped"
    up()
    assert status()["state"] == "running"
    assert len(pids()) == 3
    assert len(processes_with(f"/clusters/{NAME}/")) == 3
    kubectl("get", "configmap", f"survives-{pid_files}")


def test_fresh_forgets_the_objects() -> None:
    kubectl("create", "configmap", "forgotten")
    up("--fresh")
    assert "forgotten" not in kubectl("get", "configmaps", "-o", "name")


def test_down_leaves_no_process_and_purge_no_folder() -> None:
    root = Path(status()["kubeconfig"]).parent
    devcluster("down")
    assert processes_with(f"/clusters/{NAME}/") == []
    assert status()["state"] == "stopped"
    devcluster("down", "--purge")
    assert not root.exists()
    assert status()["state"] == "absent"
