"""GET /progress and GET /metrics of a Job's pod, from a daemon thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

Body = Callable[[], bytes]


def serve(port: int, progress: Body, metrics: Body) -> int:
    """Listens on all interfaces and returns the port; raises OSError when it cannot."""
    routes = {
        "/progress": ("application/json", progress),
        "/metrics": (CONTENT_TYPE_LATEST, metrics),
    }

    class Handler(BaseHTTPRequestHandler):
        # A client that says nothing must not hold its thread for ever.
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if path not in routes:
                self.send_error(404, explain="/progress and /metrics are served")
                return
            kind, body = routes[path]
            data = body()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Probes and scrapes are not news."""

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="progress", daemon=True).start()
    return int(server.server_address[1])
