"""The route through a real Gateway: who answers how much, whom a tester reaches, what is copied.

Two tiny servers stand for the releases' encoders. Traefik takes minutes to build, so these tests
run where it has been built (`python3 -m devcluster binaries traefik`).
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devcluster.host.binaries import source_hash
from devcluster.host.gateway import CLASS, GATEWAY, NAMESPACE
from devcluster.layout import bin_dir
from lockstep_operator.api.traffic import ParentRef
from lockstep_operator.decide.traffic.routers.gateway import MIRROR
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.operator_process import free_port
from tests.cluster.support.routed_traffic import (
    CANDIDATE,
    HOLDER,
    ROUTE,
    Encoders,
    RoutedTraffic,
    answered,
)

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (bin_dir() / f"traefik-{source_hash('traefik')}").exists(),
    reason="no Traefik: `python3 -m devcluster binaries traefik` builds it",
)


@pytest.fixture(scope="module")
def gateway(control_plane: ControlPlane) -> Iterator[str]:
    """HOST:PORT of the Gateway's listener."""
    place = ("gateway", "--name", control_plane.name)
    asked = [sys.executable, "-m", "devcluster", place[0], "up", *place[1:]]
    done = subprocess.run(
        [*asked, "--port", str(free_port())], cwd=ROOT, check=True, capture_output=True, text=True
    )
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
) -> Iterator[RoutedTraffic]:
    parent = ParentRef(name=GATEWAY, namespace=NAMESPACE)
    found = RoutedTraffic(control_plane, namespace, address=gateway, parent=parent)
    found.apply(*encoders.services(), *encoders.endpoints())
    yield found
    # Two routes of one host would share its requests with the next test.
    control_plane.kubectl("delete", ROUTE, "glyphs", "-n", namespace, "--ignore-not-found")


def test_weights_are_shares_and_testers_reach_either_release(routed: RoutedTraffic) -> None:
    routed.route()
    routed.settles(answered(r1=20))
    for weight in (10, 50):
        routed.route(candidate=CANDIDATE, weight=weight)
        routed.settles(answered(r1=2 * (100 - weight), r2=2 * weight))
    routed.route(candidate=CANDIDATE, weight=0)
    routed.settles(answered(r1=50))
    for name in ("r2", CANDIDATE):
        assert routed.ask(20, release=name) == answered(r2=20)
    for name in ("r1", HOLDER):
        assert routed.ask(20, release=name) == answered(r1=20)
    for stranger in ("r9", "glyphs-r9", "R2", "other-r2"):
        assert routed.ask(20, release=stranger) == answered(r1=20), "no header leads elsewhere"
    routed.route()
    routed.settles(answered(r1=20), release="r2")


def test_a_changed_weight_loses_no_request(routed: RoutedTraffic) -> None:
    routed.route(candidate=CANDIDATE, weight=0)
    routed.settles(answered(r1=20))
    answers: Counter[tuple[int, str | None]] = Counter()
    enough = threading.Event()

    def clients() -> None:
        while not enough.is_set():
            answers.update(routed.ask(50))

    threads = [threading.Thread(target=clients) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for weight in (25, 50, 100, 0):
            routed.route(candidate=CANDIDATE, weight=weight)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {200}
    assert {release for _, release in answers} == {HOLDER, CANDIDATE}


def test_why_a_class_is_asked_before_it_copies(
    routed: RoutedTraffic, control_plane: ControlPlane, encoders: Encoders
) -> None:
    """This Gateway accepts a RequestMirror that it cannot do, and then answers nobody.

    Its class does not list the feature: that alone tells. See `GatewayAPI.problem`.
    """
    listed = control_plane.get("gatewayclass", CLASS, "default")["status"]["supportedFeatures"]
    if MIRROR in {feature["name"] for feature in listed}:
        pytest.skip("this Traefik can copy requests")
    routed.route(candidate=CANDIDATE)
    routed.settles(answered(r1=20))
    routed.route(candidate=CANDIDATE, mirror=50)
    routed.settles(Counter({(500, None): 20}))
    assert not encoders.reached[CANDIDATE]
