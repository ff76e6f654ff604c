"""Health, readiness and drain. Ready is a set of named checks, all of which passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RETIRE_AT = "retire_at"
"""Key of `scope["state"]`: when the connection is to end, on the event loop's clock."""


class Lifecycle:
    """What this process still waits for. A check that passed stays passed until it is waited for
    again."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {"start": "the program is starting"}
        self._probes: dict[str, Callable[[], str | None]] = {}
        self.draining = False

    def wait_for(self, check: str, why: str) -> None:
        """Not ready until `passed(check)`; call again to say something newer about it."""
        self._waiting[check] = why

    def passed(self, check: str) -> None:
        self._waiting.pop(check, None)

    def watch(self, part: str, probe: Callable[[], str | None]) -> None:
        """Liveness of `part`: `probe` returns None, or what is broken for good."""
        self._probes[part] = probe

    @property
    def waiting(self) -> dict[str, str]:
        """What is not ready, by check."""
        return {"drain": "the server is stopping"} if self.draining else dict(self._waiting)

    @property
    def ready(self) -> bool:
        return not self.waiting

    def broken(self) -> dict[str, str]:
        """What is dead, by part."""
        causes = ((part, probe()) for part, probe in self._probes.items())
        return {part: cause for part, cause in causes if cause is not None}


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def operational_routes(lifecycle: Lifecycle, registry: CollectorRegistry) -> list[Route]:
    """`/healthz`, `/readyz` and `/metrics`; they answer from the moment that the server listens."""

    async def healthz(_request: Request) -> Response:
        broken = lifecycle.broken()
        return _json({"alive": not broken, "broken": broken}, 503 if broken else 200)

    async def readyz(_request: Request) -> Response:
        waiting = lifecycle.waiting
        return _json({"ready": not waiting, "waiting": waiting}, 503 if waiting else 200)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


class MaxConnectionAge:
    """ASGI layer that ends old keep-alive connections, so that clients follow a moved entry point.

    A Service balances per connection: a client that keeps one stays with its pod for ever. Once
    the connection's `RETIRE_AT` has passed, and always while draining, the response says
    `Connection: close`.
    """

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle, clock: Callable[[], float]) -> None:
        self.app = app
        self.lifecycle = lifecycle
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                retire_at = scope.get("state", {}).get(RETIRE_AT, float("inf"))
                if self.lifecycle.draining or self.clock() >= retire_at:
                    MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self.app(scope, receive, send_closing)
