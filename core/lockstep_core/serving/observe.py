"""Requests by API and status code, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lockstep_core.serving.errors import CLIENT_CLOSED

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class ObserveRequests:
    """ASGI layer that counts `requests{api,code}` and times `seconds{api}`.

    `apis` maps a path to its label; other paths are not counted, so that no client can make
    series at will. A request that ends without a response counts as 499.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        apis: Mapping[str, str],
        requests: Counter,
        seconds: Histogram,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self.apis = apis
        self.requests = requests
        self.seconds = seconds
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        api = self.apis.get(scope.get("path", ""))
        if scope["type"] != "http" or api is None:
            await self.app(scope, receive, send)
            return
        begun, code = self.clock(), CLIENT_CLOSED

        async def send_observed(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        finally:
            self.requests.labels(api, str(code)).inc()
            self.seconds.labels(api).observe(self.clock() - begun)


def request_metrics(
    registry: CollectorRegistry, requests: str, seconds: str
) -> tuple[Counter, Histogram]:
    """The two series that `ObserveRequests` feeds, under the program's names."""
    return (
        Counter(
            requests,
            "Requests answered, by API and status code.",
            ("api", "code"),
            registry=registry,
        ),
        Histogram(
            seconds,
            "Seconds from a request's headers to the end of its response.",
            ("api",),
            buckets=SECONDS_BUCKETS,
            registry=registry,
        ),
    )
