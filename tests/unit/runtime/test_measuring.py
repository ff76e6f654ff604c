"""Measurements over real HTTP: pods that answer, lie, hang and flood; Prometheus in its words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from lockstep_operator.decide.snapshot.measurements import (
    Answer,
    MeasureRequest,
    Query,
    Scrape,
    SeriesKey,
    Tally,
    Target,
    Unmeasured,
)
from lockstep_operator.runtime.measuring import Measurer
from lockstep_operator.runtime.monitors import Monitors
from lockstep_operator.runtime.probing import Prober
from lockstep_operator.runtime.queue import Key
from tests.unit.tallies import tally_of

pytestmark = pytest.mark.unit

KEY, OTHER = Key("shop", "glyphs"), Key("shop", "other")
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
METRICS = """\
# TYPE lockstep_encoder_info gauge
lockstep_encoder_info{release="glyphs-r2",space="0123456789ab"} 1.0
# TYPE lockstep_encoder_requests_total counter
lockstep_encoder_requests_total{api="search",code="200"} %d
"""
ANSWERS = {
    "scalar": {"status": "success", "data": {"resultType": "scalar", "result": [1, "0.25"]}},
    "vector": {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "NaN"]}]},
    },
    "empty": {"status": "success", "data": {"resultType": "vector", "result": []}},
    "matrix": {"status": "success", "data": {"resultType": "matrix", "result": []}},
}


@dataclass
class Stage:
    """A real server on loopback, and a measurer that asks it."""

    url: str = ""
    requests: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    woken: asyncio.Queue[Key] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.measurer = Measurer(
            Prober(timeout=0.3, limit=64 * 1024),
            Monitors(timeout=0.3),
            wake=self.woken.put_nowait,
            now=lambda: NOW,
        )

    async def metrics(self, request: web.Request) -> web.Response:
        self.requests += 1
        return web.Response(text=METRICS % (10 * self.requests))

    async def hang(self, request: web.Request) -> web.Response:
        self.arrived.set()
        await self.let_go.wait()
        return web.Response(text=METRICS % 1)

    async def flood(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(64):
                await response.write(b"# nothing\n" * 1024)
        except ConnectionError:
            pass
        return response

    async def query(self, request: web.Request) -> web.Response:
        promql = (await request.post())["query"]
        self.asked.append(str(promql))
        if promql in ANSWERS:
            return web.json_response(ANSWERS[str(promql)])
        error = {"status": "error", "error": "1:3: parse error", "errorType": "bad_data"}
        return web.json_response(error, status=400)

    async def measure(self, request: MeasureRequest) -> Any:
        """Makes one measurement; its reading."""
        self.measurer.follow(KEY, (request,))
        assert await asyncio.wait_for(self.woken.get(), 30) == KEY
        return self.measurer.series(KEY)[request.series][-1].reading

    def scrape(self, path: str = "/metrics", *, number: int = 0, gate: str = "a") -> MeasureRequest:
        target = Target("uid-1", "glyphs-r2-encoder-x", f"{self.url}{path}")
        what = Scrape("glyphs-r2", (target,))
        return MeasureRequest(SeriesKey("glyphs-r2", "1@x", gate), number, what)

    def ask(self, promql: str, path: str = "") -> MeasureRequest:
        what = Query(f"{self.url}{path}", promql)
        return MeasureRequest(SeriesKey("glyphs-r2", "1@x", promql), 0, what)


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    found = Stage()
    paths: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
        "/metrics": found.metrics,
        "/hang": found.hang,
        "/flood": found.flood,
    }
    app = web.Application()
    for path, handler in paths.items():
        app.router.add_get(path, handler)
    app.router.add_post("/prom/api/v1/query", found.query)
    app.router.add_get("/moved", _moved)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{_port(runner)}"
    yield found
    found.let_go.set()
    await found.measurer.close()
    await runner.cleanup()


async def _moved(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"location": "/metrics"})


def _port(runner: web.AppRunner) -> int:
    return int(runner.addresses[0][1])


async def test_requests_are_counted_from_the_first_scrape(stage: Stage) -> None:
    first = await stage.measure(stage.scrape())
    second = await stage.measure(stage.scrape(number=1))
    assert (first, second) == (tally_of({"200": 0}), tally_of({"200": 10}))
    assert [found.at for found in stage.measurer.series(KEY)[stage.scrape().series]] == [NOW, NOW]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nowhere", "answered 404"),
        ("/moved", "answered 302"),
        ("/hang", "gave no answer within 0.3 s"),
        ("/flood", "gave more than 65,536 bytes"),
    ],
)
async def test_a_pod_that_cannot_be_read_is_told_in_the_same_words(
    path: str, words: str, stage: Stage
) -> None:
    first = await stage.measure(stage.scrape(path))
    again = await stage.measure(stage.scrape(path, number=1))
    who = f"pod glyphs-r2-encoder-x at {stage.url}{path}"
    assert first == again == Unmeasured(f"{who} {words}")


async def test_another_pod_at_the_address_is_not_measured(stage: Stage) -> None:
    asked = stage.scrape()
    assert isinstance(asked.what, Scrape)
    wrong = MeasureRequest(asked.series, 0, Scrape("glyphs-r3", asked.what.targets))
    found = await stage.measure(wrong)
    assert isinstance(found, Unmeasured) and "is glyphs-r2, not glyphs-r3" in found.message


async def test_nobody_listens_and_nobody_is_ready(stage: Stage) -> None:
    nobody = Scrape("glyphs-r2", (Target("u", "p", "http://127.0.0.1:1/metrics"),))
    found = await stage.measure(MeasureRequest(SeriesKey("r", "a", "g"), 0, nobody))
    words = "pod p at http://127.0.0.1:1/metrics cannot be asked (ClientConnectorError)"
    assert found == Unmeasured(words)
    none = await stage.measure(MeasureRequest(SeriesKey("r", "a", "h"), 0, Scrape("r2", ())))
    assert none == Unmeasured("no encoder pod of r2 is ready")


@pytest.mark.parametrize(
    ("promql", "found"),
    [("scalar", Answer((0.25,))), ("empty", Answer(()))],
)
async def test_prometheus_answers_with_numbers(promql: str, found: Answer, stage: Stage) -> None:
    assert await stage.measure(stage.ask(promql, "/prom/")) == found
    assert stage.asked == [promql]


async def test_prometheus_answers_with_anything_else(stage: Stage) -> None:
    nan = await stage.measure(stage.ask("vector", "/prom"))
    assert isinstance(nan, Answer) and len(nan.values) == 1 and nan.values[0] != nan.values[0]
    who = f"Prometheus at {stage.url}"
    assert await stage.measure(stage.ask("sum(", "/prom")) == Unmeasured(
        f"{who}/prom answered 400: 1:3: parse error"
    )
    assert await stage.measure(stage.ask("matrix", "/prom")) == Unmeasured(
        f"{who}/prom gave no scalar and no vector of numbers"
    )
    assert await stage.measure(stage.ask("scalar")) == Unmeasured(
        f"{who} answered 404 without JSON"
    )


async def test_a_measurement_is_made_once_and_not_before_it_is_due(stage: Stage) -> None:
    asked = stage.scrape()
    early = MeasureRequest(asked.series, 0, asked.what, due_in=3.0)
    stage.measurer.follow(KEY, (early,))
    for _ in range(5):
        stage.measurer.follow(KEY, (asked,))
    await asyncio.wait_for(stage.woken.get(), 30)
    stage.measurer.follow(KEY, (asked,))
    await asyncio.sleep(0)
    assert (stage.requests, stage.woken.empty()) == (1, True)
    assert len(stage.measurer.series(KEY)[asked.series]) == 1


async def test_a_series_that_no_plan_asks_for_is_forgotten(stage: Stage) -> None:
    one, two = stage.scrape(gate="one"), stage.scrape(gate="two")
    await stage.measure(one)
    stage.measurer.follow(KEY, (two,))
    await asyncio.wait_for(stage.woken.get(), 30)
    assert set(stage.measurer.series(KEY)) == {two.series}
    assert stage.measurer.series(OTHER) == {}
    stage.measurer.follow(KEY, ())
    assert stage.measurer.series(KEY) == {}
    # It begins anew: the first tally is the zero of the next ones.
    assert await stage.measure(one) == tally_of({"200": 0})


async def test_a_series_that_is_forgotten_ends_what_is_under_way(stage: Stage) -> None:
    stage.measurer.follow(KEY, (stage.scrape("/hang"),))
    await stage.arrived.wait()
    stage.measurer.follow(KEY, ())
    stage.let_go.set()
    await stage.measure(stage.scrape(gate="b"))
    assert [name.gate for name in stage.measurer.series(KEY)] == ["b"]
    assert stage.woken.empty()


async def test_pods_that_hang_hold_up_no_other_model(stage: Stage) -> None:
    hanging = tuple(stage.scrape("/hang", gate=f"g{number}") for number in range(8))
    stage.measurer.follow(OTHER, hanging)
    assert isinstance(await stage.measure(stage.scrape()), Tally)
