"""The Lease on a real API server: hand-over, expiry, stalls, and no write in doubt."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstep_core.protocol.environment import TERMINATION_PATH_VARIABLE
from lockstep_operator.runtime.errors import NotLeading
from lockstep_operator.runtime.heartbeat import Heartbeat
from lockstep_operator.runtime.leader import Leader, LeaseTimes
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.models import Launch
from tests.cluster.support.operator_process import service_account_kubeconfig, wait_for

TIMES = LeaseTimes(3.0)


class Candidates:
    """Leaders of one Lease; `losses` is what they would have exited with."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.losses: list[str] = []
        self.started: list[Leader] = []

    def start(self, name: str, heartbeat: Heartbeat | None = None) -> Leader:
        leader = Leader(
            namespace=self.namespace,
            name="lockstep-operator",
            identity=name,
            times=TIMES,
            heartbeat=heartbeat or Heartbeat(),
            on_lost=lambda why: self.losses.append(f"{name}: {why}"),
        )
        leader.start()
        self.started.append(leader)
        return leader


@pytest.fixture
def candidates(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Candidates]:
    path = service_account_kubeconfig(control_plane, namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(path))
    made = Candidates(namespace)
    yield made
    for leader in made.started:
        leader.stop()
    for leader in made.started:
        leader.join(10)
    control_plane.kubectl("delete", "clusterrolebinding", f"operator-{namespace}")


@pytest.fixture
def steal(control_plane: ControlPlane, namespace: str) -> Callable[[], None]:
    """Writes another holder into the Lease, as a split brain would."""

    def write() -> None:
        patch = json.dumps({"spec": {"holderIdentity": "thief"}})
        control_plane.kubectl(
            *("patch", "lease", "lockstep-operator", "-n", namespace, "--type=merge", "-p", patch)
        )

    return write


def test_stop_hands_the_lease_over_at_once(candidates: Candidates) -> None:
    first = candidates.start("first")
    assert first.wait_until_leading()
    first.check()
    second = candidates.start("second")
    time.sleep(TIMES.duration)
    assert not second.leads, "a renewed Lease is not taken"
    with pytest.raises(NotLeading):
        second.check()
    first.stop()
    first.join(5)
    released = time.monotonic()
    assert second.wait_until_leading()
    assert time.monotonic() - released < TIMES.duration, "released, not expired"
    with pytest.raises(NotLeading):
        first.check()
    assert candidates.losses == []


def test_a_dead_leaders_lease_expires(control_plane: ControlPlane, candidates: Candidates) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "lockstep-operator"},
        "spec": {
            "holderIdentity": "dead",
            "leaseDurationSeconds": 2,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            # A clock far ahead of ours must not matter.
            "renewTime": "2099-01-01T00:00:00.000000Z",
        },
    }
    control_plane.kubectl("create", "-n", candidates.namespace, "-f", "-", stdin=lease)
    started = time.monotonic()
    assert candidates.start("heir").wait_until_leading()
    assert time.monotonic() - started >= 2.0
    stored = control_plane.get("lease", "lockstep-operator", candidates.namespace)
    assert stored["spec"]["holderIdentity"] == "heir"
    assert stored["spec"]["leaseTransitions"] == 1


def test_a_stolen_lease_ends_the_leader(candidates: Candidates, steal: Callable[[], None]) -> None:
    leader = candidates.start("first")
    assert leader.wait_until_leading()
    steal()
    wait_for("the loss is noticed", lambda: candidates.losses, TIMES.duration)
    assert "thief" in candidates.losses[0]
    with pytest.raises(NotLeading):
        leader.check()


def test_an_operator_that_lost_its_lease_says_why_it_ended(
    launch: Launch, steal: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = tmp_path / "termination-log"
    monkeypatch.setenv(TERMINATION_PATH_VARIABLE, str(message))
    operator = launch(lease_seconds=3.0)
    steal()
    assert operator.process is not None
    assert operator.process.wait(10) == 1
    assert message.read_text() == "no longer the leader: thief holds the Lease"
    assert operator.log.read_text().splitlines()[-1].startswith("{"), "no traceback after it"
    assert operator.lines()[-1]["why"] == "thief holds the Lease"


def test_a_stalled_main_loop_does_not_keep_the_lease(candidates: Candidates) -> None:
    heartbeat = Heartbeat()
    leader = candidates.start("first", heartbeat)
    assert leader.wait_until_leading()
    heartbeat._last = time.monotonic()  # One tick, and never again.
    wait_for("the stall is noticed", lambda: candidates.losses, 2 * TIMES.duration)
    assert "main loop stood still" in candidates.losses[0]


def test_a_stopped_standby_leaves(candidates: Candidates) -> None:
    candidates.start("first").wait_until_leading()
    standby = candidates.start("second")
    standby.stop()
    assert standby.wait_until_leading() is False
