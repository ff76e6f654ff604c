"""Requests by API and status code, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lockstep_core.protocol.metrics import Metric
from lockstep_core.serving.errors import CLIENT_CLOSED

# A latency gate judges at these edges alone, so one lies near every bound that people set: steps of
# a third at most from 10 ms to 1 s, of a half outside of it.
_MILLISECONDS = (1, 2, 3, 5, 7.5, 10, 12.5, 15, 20, 25, 30, 40, 50, 60, 75, 100, 125, 150, 200, 250)
_SLOW_MILLISECONDS = (300, 400, 500, 600, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10_000, 30_000)
SECONDS_BUCKETS = tuple(ms / 1000 for ms in (*_MILLISECONDS, *_SLOW_MILLISECONDS))


class ObserveRequests:
    """ASGI layer that counts `requests{api,code}` and times `seconds{api}`.

    `apis` maps a path to its label; other paths are not counted, so that no client can make
    series at will. A request that ends without a response counts as 499, and in its time: who
    waited too long gave up. Refused requests (other 4xx) have no part in the times: a server that
    refuses more would seem the faster for it.
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
            if not 400 <= code < 500 or code == CLIENT_CLOSED:
                self.seconds.labels(api).observe(self.clock() - begun)


def request_metrics(
    registry: CollectorRegistry, requests: Metric, seconds: Metric
) -> tuple[Counter, Histogram]:
    """The two series that `ObserveRequests` feeds, as the program's rows say them."""
    return counter(requests, registry), histogram(seconds, registry)


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    """The counter of this row, in `registry`."""
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    """The gauge of this row, in `registry`."""
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(
    metric: Metric, registry: CollectorRegistry, buckets: Sequence[float] = SECONDS_BUCKETS
) -> Histogram:
    """The histogram of this row, in `registry`; `buckets` are its edges, in its unit."""
    return Histogram(metric.name, metric.help, metric.labels, buckets=buckets, registry=registry)
