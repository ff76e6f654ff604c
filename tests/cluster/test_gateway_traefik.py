"""The route through a real Gateway: who answers how much, whom a tester reaches, what is copied.

Two tiny servers stand for the releases' encoders. Traefik takes minutes to build, so these tests
run where it has been built (`python3 -m devcluster binaries traefik`).
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from devcluster.host.binaries import source_hash
from devcluster.host.gateway import CLASS, GATEWAY, NAMESPACE
from devcluster.layout import bin_dir
from lockstep_core.protocol import headers
from lockstep_operator.api.objects import Object
from lockstep_operator.api.rollout import ParentRef
from lockstep_operator.decide.routers.gateway import MIRROR
from lockstep_operator.decide.routers.parents import Stand, stand
from lockstep_operator.manifests.routes import http_route
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.operator_process import free_port, wait_for
from tests.unit.manifests.support import samples

ROOT = Path(__file__).parents[2]
ROUTE = "httproutes.gateway.networking.k8s.io"
HOST = "search.example"
HOLDER, CANDIDATE = "glyphs-r1", "glyphs-r2"

pytestmark = pytest.mark.skipif(
    not (bin_dir() / f"traefik-{source_hash('traefik')}").exists(),
    reason="no Traefik: `python3 -m devcluster binaries traefik` builds it",
)


class Encoders:
    """A server for each release. Counts what reaches it, and answers with its name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.reached: Counter[str] = Counter()
        self.ports: dict[str, int] = {}
        self._servers: list[ThreadingHTTPServer] = []
        for release in (HOLDER, CANDIDATE, "glyphs-r9"):
            server = ThreadingHTTPServer((address, 0), self._handler(release))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self._servers.append(server)
            self.ports[release] = server.server_port

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _handler(self, release: str) -> type[BaseHTTPRequestHandler]:
        reached = self.reached

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                reached[release] += 1
                self.send_response(200)
                self.send_header(headers.RELEASE, release)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def objects(self) -> Iterator[Object]:
        """The releases' own Services. No pod is behind them, so their endpoints are written out."""
        for release, port in self.ports.items():
            name = {"name": f"{release}-encoder"}
            ports = [{"name": "http", "port": 8080}]
            yield {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": name,
                "spec": {"ports": ports},
            }
            label = {"kubernetes.io/service-name": name["name"]}
            yield {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": name | {"labels": label},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": port}],
                "endpoints": [{"addresses": [self.address], "conditions": {"ready": True}}],
            }


class Street:
    """From a client through the Gateway to the servers."""

    def __init__(self, control_plane: ControlPlane, namespace: str, address: str) -> None:
        self._control_plane = control_plane
        self._namespace = namespace
        self._address = address
        self.parent = ParentRef(name=GATEWAY, namespace=NAMESPACE)

    def apply(self, *objects: Object) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self._control_plane.kubectl(
            *("apply", "--server-side", "--force-conflicts", "-n", self._namespace, "-f", "-"),
            stdin=listed,
        )

    def route(self, **shares: Any) -> None:
        """Applies the route to r1, with `shares` of r2, and waits until the Gateway acts on it."""
        gateway = {"parentRefs": [self.parent.to_wire()], "hostnames": [HOST]}
        model = samples.model(
            rollout={"traffic": {"router": "GatewayAPI", "gateway": gateway}},
        )
        manifest = http_route(model, HOLDER, **shares)
        manifest["metadata"]["namespace"] = self._namespace
        del manifest["metadata"]["ownerReferences"]
        self.apply(manifest)
        wait_for("the Gateway acts on the route", self._acts, 30)

    def _acts(self) -> bool:
        found = self._control_plane.get(ROUTE, "glyphs", self._namespace)
        return stand(found, self.parent).stand is Stand.ACTING

    def ask(self, count: int, *, release: str | None = None) -> Counter[tuple[int, str | None]]:
        """Status and the answering release of `count` requests over one connection."""
        asked = {"host": HOST} | ({headers.RELEASE: release} if release else {})
        place = urlsplit(f"//{self._address}")
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        answers: Counter[tuple[int, str | None]] = Counter()
        try:
            for _ in range(count):
                connection.request("POST", "/v1/search", b"query", asked)
                with connection.getresponse() as answer:
                    answer.read()
                    answers[answer.status, answer.getheader(headers.RELEASE)] += 1
        finally:
            connection.close()
        return answers

    def settles(self, wanted: Counter[tuple[int, str | None]], **asked: Any) -> None:
        """Traefik says that it acts on a route a moment before it does."""
        count = wanted.total()
        wait_for(f"{wanted}", lambda: self.ask(count, **asked) == wanted, 20)


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
def street(
    control_plane: ControlPlane, namespace: str, gateway: str, encoders: Encoders
) -> Iterator[Street]:
    found = Street(control_plane, namespace, gateway)
    found.apply(*encoders.objects())
    yield found
    # Two routes of one host would share its requests with the next test.
    control_plane.kubectl("delete", ROUTE, "glyphs", "-n", namespace, "--ignore-not-found")


def answered(**counts: int) -> Counter[tuple[int, str | None]]:
    return Counter({(200, f"glyphs-{name}"): count for name, count in counts.items()})


def test_weights_are_shares_and_testers_reach_either_release(street: Street) -> None:
    street.route()
    street.settles(answered(r1=20))
    for weight in (10, 50):
        street.route(candidate=CANDIDATE, weight=weight)
        street.settles(answered(r1=2 * (100 - weight), r2=2 * weight))
    street.route(candidate=CANDIDATE, weight=0)
    street.settles(answered(r1=50))
    for name in ("r2", CANDIDATE):
        assert street.ask(20, release=name) == answered(r2=20)
    for name in ("r1", HOLDER):
        assert street.ask(20, release=name) == answered(r1=20)
    for stranger in ("r9", "glyphs-r9", "R2", "other-r2"):
        assert street.ask(20, release=stranger) == answered(r1=20), "no header leads elsewhere"
    street.route()
    street.settles(answered(r1=20), release="r2")


def test_a_changed_weight_loses_no_request(street: Street) -> None:
    street.route(candidate=CANDIDATE, weight=0)
    street.settles(answered(r1=20))
    answers: Counter[tuple[int, str | None]] = Counter()
    enough = threading.Event()

    def clients() -> None:
        while not enough.is_set():
            answers.update(street.ask(50))

    threads = [threading.Thread(target=clients) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for weight in (25, 50, 100, 0):
            street.route(candidate=CANDIDATE, weight=weight)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {200}
    assert {release for _, release in answers} == {HOLDER, CANDIDATE}


def test_why_a_class_is_asked_before_it_copies(
    street: Street, control_plane: ControlPlane, encoders: Encoders
) -> None:
    """This Gateway accepts a RequestMirror that it cannot do, and then answers nobody.

    Its class does not list the feature: that alone tells. See `GatewayAPI.problem`.
    """
    listed = control_plane.get("gatewayclass", CLASS, "default")["status"]["supportedFeatures"]
    if MIRROR in {feature["name"] for feature in listed}:
        pytest.skip("this Traefik can copy requests")
    street.route(candidate=CANDIDATE)
    street.settles(answered(r1=20))
    street.route(candidate=CANDIDATE, mirror=50)
    street.settles(Counter({(500, None): 20}))
    assert not encoders.reached[CANDIDATE]
