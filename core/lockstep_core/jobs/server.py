"""GET /progress and GET /metrics of a Job's pod, from a daemon thread."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST

from lockstep_core.network.listening import listen
from lockstep_core.network.pages import PageServer

Body = Callable[[], bytes]


def serve(port: int, progress: Body, metrics: Body) -> int:
    """Listens on all addresses and returns the port; raises OSError when it cannot."""
    pages = {
        "/progress": lambda: (200, "application/json", progress()),
        "/metrics": lambda: (200, CONTENT_TYPE_LATEST, metrics()),
    }
    server = PageServer(listen(port), pages, name="progress")
    server.start()
    return server.port
