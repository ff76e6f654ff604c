"""/healthz, /readyz and /metrics in a thread of their own.

Outside of kopf's loop, so that a standby (which runs no kopf) has probes, and so that a stalled
main loop is reported as such and not as a timeout.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lockstep_core.network.listening import listen
from lockstep_core.network.pages import Answer, PageServer
from lockstep_operator.runtime.metrics import REGISTRY

# None: fine. Otherwise the reason, for whoever reads the probe's answer.
Check = Callable[[], str | None]


class HealthServer(PageServer):
    """Serves until the process ends. `host` None is every address; port 0 takes any free one."""

    def __init__(self, *, port: int, healthy: Check, ready: Check, host: str | None = None) -> None:
        pages = {
            "/healthz": lambda: _check(healthy),
            "/readyz": lambda: _check(ready),
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY)),
        }
        super().__init__(listen(port, host), pages, name="health")


def _check(check: Check) -> Answer:
    reason = check()
    code, text = (200, "ok") if reason is None else (503, reason)
    return code, "text/plain", f"{text}\n".encode()
