"""/healthz, /readyz and /metrics in a thread of their own.

Outside of kopf's loop, so that a standby (which runs no kopf) has probes, and so that a stalled
main loop is reported as such and not as a timeout.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lockstep_operator.runtime.metrics import REGISTRY

# None: fine. Otherwise the reason, for whoever reads the probe's answer.
Check = Callable[[], str | None]


class HealthServer(threading.Thread):
    """Serves until the process ends."""

    def __init__(self, *, port: int, healthy: Check, ready: Check, host: str = "") -> None:
        super().__init__(name="health", daemon=True)
        self._server = ThreadingHTTPServer((host, port), _handler(healthy, ready))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """The port in use: the one asked for, or a free one when that was 0."""
        return int(self._server.server_address[1])

    def run(self) -> None:
        self._server.serve_forever()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(healthy: Check, ready: Check) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer_check(healthy())
            elif self.path == "/readyz":
                self._answer_check(ready())
            elif self.path == "/metrics":
                self._answer(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
            else:
                self._answer(404, b"try /healthz, /readyz or /metrics\n", "text/plain")

        def _answer_check(self, reason: str | None) -> None:
            code, text = (200, "ok") if reason is None else (503, reason)
            self._answer(code, f"{text}\n".encode(), "text/plain")

        def _answer(self, code: int, body: bytes, content_type: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """A probe every few seconds is no news."""

    return Handler
