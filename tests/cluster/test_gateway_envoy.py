"""Mirroring through a real Gateway: the operator steers, Envoy Gateway reads, Envoy copies.

Two tiny servers stand for the releases' encoders, and count. Envoy Gateway takes minutes to build,
so this runs where it has been built (`python3 -m devcluster binaries envoy-gateway`).
"""

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
from urllib.parse import urlsplit

import pytest

from devcluster.host import envoy
from devcluster.host.binaries import source_hash
from devcluster.host.gateway import GATEWAY
from devcluster.host.host_process import HostProcess
from devcluster.layout import Layout, bin_dir
from lockstep_operator.api.traffic import ParentRef
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import Cluster, Launch, model, no_crash
from tests.cluster.support.operator_process import free_port, wait_for
from tests.cluster.support.routed_traffic import HOST, Encoders, RoutedTraffic, answered

ROOT = Path(__file__).parents[2]
R1, R2 = "glyphs-r1", "glyphs-r2"
# Of 400, by chance: the standard deviation of a half is 10.
ASKED, NEAR = 400, 60
STEPS: list[dict[str, Any]] = [
    {"mirror": 50},
    {"pause": {}},
    {"mirror": 0},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {}},
]
COPYING, QUIET, WEIGHED, SHARED = 1, 3, 4, 5

pytestmark = pytest.mark.skipif(
    not (bin_dir() / f"envoy-gateway-{source_hash('envoy-gateway')}").exists(),
    reason="no Envoy Gateway: `python3 -m devcluster binaries envoy-gateway` builds it",
)


@pytest.fixture(scope="module")
def gateway(control_plane: ControlPlane) -> Iterator[str]:
    """HOST:PORT of the Gateway's listener."""
    if taken := envoy.taken_ports():
        # The reliability matrix leaves one at the node's cluster.
        pytest.skip(f"port {taken[0]} is in use: a machine holds one Envoy Gateway")
    asked = [sys.executable, "-m", "devcluster", "envoy-gateway", "up", "--name"]
    asked += [control_plane.name, "--port", str(free_port())]
    done = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True)
    yield urlsplit(done.stdout.split()[-1]).netloc
    asked[4] = "down"
    subprocess.run(asked, cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
def encoders(gateway: str) -> Iterator[Encoders]:
    found = Encoders(gateway.partition(":")[0])
    yield found
    found.stop()


@pytest.fixture
def routed(
    control_plane: ControlPlane, namespace: str, gateway: str, encoders: Encoders
) -> RoutedTraffic:
    parent = ParentRef(name=GATEWAY, namespace=envoy.NAMESPACE)
    found = RoutedTraffic(control_plane, namespace, address=gateway, parent=parent)
    found.apply(*encoders.endpoints())
    return found


class Canary:
    """r2 beside r1, as the operator tells of it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def begin(self) -> None:
        seed = json.dumps({"spec": {"training": {"seed": 7}}})
        self._cluster.kubectl("patch", "em", "glyphs", "--type=merge", "-p", seed)

    def step(self) -> int | None:
        found = [o for o in self._cluster.items("er") if o["metadata"]["name"] == R2]
        step = found[0].get("status", {}).get("step") if found else None
        return None if step is None else int(step["index"])

    def until(self, step: int) -> None:
        wait_for(f"r2 at step {step}", lambda: self.step() == step, 60)

    def promote(self) -> None:
        """Past the pause that it is at; asking again takes another word."""
        word = f"lockstep.dev/promote=r2.{self.step()}"
        self._cluster.kubectl("annotate", "em", "glyphs", "--overwrite", word)

    def achieved(self) -> int:
        weights = self._cluster.status("er", R2).get("weights") or {}
        return int(weights.get("achieved", 0))


def settled(encoders: Encoders) -> int:
    """What reached r2, when nothing more comes: copies are sent beside the answer."""
    while True:
        before = encoders.reached[R2]
        time.sleep(0.5)
        if encoders.reached[R2] == before:
            return before


def steps_accepted(cluster: Cluster) -> tuple[str, str]:
    listed = cluster.status("em", "glyphs").get("conditions") or ()
    told = {c["type"]: (c["status"], c["message"]) for c in listed}
    return told.get("StepsAccepted", ("", ""))


def test_copies_arrive_and_their_answers_reach_no_client(
    cluster: Cluster, launch: Launch, kubelet: Kubelet, routed: RoutedTraffic, encoders: Encoders
) -> None:
    operator = launch()
    route = {"parentRefs": [routed.parent.to_wire()], "hostnames": [HOST]}
    traffic = {"router": "GatewayAPI", "gateway": route}
    cluster.apply(model("glyphs", traffic=traffic, steps=STEPS))
    wait_for("the silence of a class is no yes", lambda: steps_accepted(cluster)[0] == "False", 60)
    assert "`spec.rollout.traffic.gateway.mirroring: Trusted`" in steps_accepted(cluster)[1]
    trusted = {"rollout": {"traffic": {"gateway": {"mirroring": "Trusted"}}}}
    cluster.kubectl("patch", "em", "glyphs", "--type=merge", "-p", json.dumps({"spec": trusted}))
    wait_for("it is trusted", lambda: steps_accepted(cluster)[0] == "True", 60)
    cluster.healthy("glyphs", R1)
    routed.settles(answered(r1=20))

    canary = Canary(cluster)
    canary.begin()
    canary.until(COPYING)
    wait_for("a copy arrives", lambda: routed.ask(10) and encoders.reached[R2] > 0)
    before = settled(encoders)
    assert routed.ask(ASKED) == answered(r1=ASKED), "no copy's answer, and no failure"
    assert abs(settled(encoders) - before - ASKED / 2) < NEAR
    by_name(routed, encoders)

    canary.promote()
    canary.until(QUIET)
    wait_for("copies end", lambda: copies_of(routed, encoders, 20) == 0, 20)
    assert copies_of(routed, encoders, 100) == 0
    assert canary.achieved() == 0
    waits_for_the_controller(canary, routed, cluster.control_plane.name)
    answers = routed.ask(ASKED)
    assert {status for status, _ in answers} == {200}
    assert abs(answers[200, R2] - ASKED / 2) < NEAR
    assert canary.achieved() == 50
    assert operator.stop() == 0
    no_crash(operator)


def copies_of(routed: RoutedTraffic, encoders: Encoders, count: int) -> int:
    """How many copies so many requests make, none of which r2 answers."""
    before = settled(encoders)
    assert routed.ask(count) == answered(r1=count)
    return settled(encoders) - before


def by_name(routed: RoutedTraffic, encoders: Encoders) -> None:
    """Who names a release reaches it, and what a tester asks is not copied."""
    before = settled(encoders)
    assert routed.ask(20, release="r2") == answered(r2=20)
    assert routed.ask(20, release=R1) == answered(r1=20)
    assert settled(encoders) - before == 20


def waits_for_the_controller(canary: Canary, routed: RoutedTraffic, name: str) -> None:
    """A weight counts when the controller has read it; Envoy goes on with what it was told."""
    pid = HostProcess(Layout(name), envoy.NAME).processes.alive(envoy.NAME)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        canary.promote()
        canary.until(WEIGHED)
        time.sleep(5)
        assert canary.step() == WEIGHED
        assert canary.achieved() == 0
        assert routed.ask(50) == answered(r1=50)
    finally:
        os.kill(pid, signal.SIGCONT)
    canary.until(SHARED)
    wait_for("r2 answers", lambda: routed.ask(20)[200, R2] > 0, 20)
