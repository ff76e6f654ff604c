"""From a client through a Gateway to tiny servers, which stand for the releases' encoders."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from lockstep_core.protocol import headers
from lockstep_operator.api.objects import Object
from lockstep_operator.api.traffic import ParentRef
from lockstep_operator.decide.traffic.routers.parents import ParentState, report_of
from lockstep_operator.manifests.routes import http_route
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.operator_process import wait_for
from tests.unit.manifests.support import samples

ROUTE = "httproutes.gateway.networking.k8s.io"
HOST = "search.example"
HOLDER, CANDIDATE = "glyphs-r1", "glyphs-r2"


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

    def services(self) -> Iterator[Object]:
        """The releases' own, where no operator makes them."""
        ports = [{"name": "http", "port": 8080}]
        for release in self.ports:
            name = {"name": f"{release}-encoder"}
            yield {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": name,
                "spec": {"ports": ports},
            }

    def endpoints(self) -> Iterator[Object]:
        """Of those Services. No pod is behind them, so they are written out."""
        for release, port in self.ports.items():
            name = {"name": f"{release}-encoder"}
            label = {"kubernetes.io/service-name": name["name"]}
            yield {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": name | {"labels": label},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": port}],
                "endpoints": [{"addresses": [self.address], "conditions": {"ready": True}}],
            }


class RoutedTraffic:
    """From a client through the Gateway to the servers."""

    def __init__(
        self, control_plane: ControlPlane, namespace: str, *, address: str, parent: ParentRef
    ) -> None:
        self._control_plane = control_plane
        self._namespace = namespace
        self._address = address
        self.parent = parent

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
        return report_of(found, self.parent).state is ParentState.ACTING

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
        """A controller says that it acts on a route a moment before its proxies do."""
        count = wanted.total()
        wait_for(f"{wanted}", lambda: self.ask(count, **asked) == wanted, 20)


def answered(**counts: int) -> Counter[tuple[int, str | None]]:
    return Counter({(200, f"glyphs-{name}"): count for name, count in counts.items()})
