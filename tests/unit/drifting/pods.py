"""Pods with monitors over real HTTP, and a ConfigMap in memory. Nothing here is a test."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

from lockstep_core.drift.bet import Bet
from lockstep_core.drift.bet_wire import bet_from_wire
from lockstep_core.drift.sketch_wire import sketch_to_wire
from lockstep_core.protocol.monitoring import MAX_ANSWERED_WINDOWS, SKETCHES_SCHEMA, BetsRequest
from lockstep_core.protocol.recall import RECALL_SCHEMA
from lockstep_operator.decide.snapshot.drift import DriftWatch
from lockstep_operator.decide.snapshot.measurements import Target
from lockstep_operator.runtime.errors import AlreadyExists, Conflict, NotFound, Unavailable
from tests.unit.drifting.streams import SECONDS, draw, features, sketch_of

RELEASE, SPACE = "glyphs-r1", "0123456789ab"


@dataclass
class Pod:
    """One monitor: what it closed, and what it was told to bet."""

    name: str
    seed: int
    release: str = RELEASE
    space: str | None = SPACE
    seconds: int = SECONDS
    answers: str = "well"
    digest: str | None = field(default_factory=lambda: features().digest)
    sketches: dict[int, Any] = field(default_factory=dict)
    open_window: int = 0
    bets: dict[int, tuple[Bet, ...]] = field(default_factory=dict)
    asked: int = 0
    placed: int = 0
    baseline: bytes | None = None
    recall_answers: str = "well"
    recalls: list[dict[str, Any]] = field(default_factory=list)

    def close(self, window: int, n: int, shift: float = 0.0) -> None:
        """A window ends in which so many embeddings came."""
        self.open_window = window + 1
        if n:
            rows = draw(np.random.default_rng((window, self.seed)), n, shift)
            held = [numbers for numbers in sorted(self.bets) if numbers <= window]
            bets = self.bets[held[-1]] if held else ()
            sketch = sketch_of(rows, window, bets, seed=self.seed)
            self.sketches[window] = sketch_to_wire(sketch) | {"windowSeconds": self.seconds}

    async def sketch(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.answers == "late":
            await asyncio.sleep(5)
        if self.answers == "floods":
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                for _ in range(400):
                    await response.write(b"[" * 65536)
            except ConnectionError:
                pass
            return response
        if self.answers != "well":
            return web.Response(text=self.answers, status=200 if "{" in self.answers else 500)
        after = int(request.query["after"])
        found = [wire for number, wire in sorted(self.sketches.items()) if number > after]
        return web.json_response(
            {
                "schema": SKETCHES_SCHEMA,
                "release": self.release,
                "space": self.space,
                "featuresDigest": self.digest,
                "windowSeconds": self.seconds,
                "openWindow": self.open_window,
                "sketches": found[:MAX_ANSWERED_WINDOWS],
            }
        )

    async def held_out(self, request: web.Request) -> web.Response:
        if self.baseline is None:
            return web.Response(status=404, text="this artifact has no held-out baseline\n")
        return web.Response(body=self.baseline, content_type="application/json")

    def measure(self, window: int, n: int, mean: float, index: str = "glyphs", k: int = 10) -> None:
        """What live searches of a window found: all of one recall."""
        sums = {"n": n, "mean": mean, "sumsq": n * mean * mean, "hits": 0, "expected": 10 * n}
        build = "sha256:" + "1" * 64
        self.recalls.append({"window": window, "index": index, "build": build, "k": k, **sums})

    async def recall(self, request: web.Request) -> web.Response:
        if self.recall_answers != "well":
            return web.Response(status=int(self.recall_answers))
        after = int(request.query["after"])
        return web.json_response(
            {
                "schema": RECALL_SCHEMA,
                "release": self.release,
                "space": self.space,
                "windowSeconds": self.seconds,
                "openWindow": self.open_window,
                "perMinute": 60,
                "k": 10,
                "indexes": ["glyphs"],
                "windows": [one for one in self.recalls if one["window"] > after],
                "laterField": 1,
            }
        )

    async def put(self, request: web.Request) -> web.Response:
        asked = BetsRequest.model_validate_json(await request.read())
        bets = tuple(bet_from_wire(wire, asked.features_digest) for wire in asked.bets)
        self.placed += 1
        self.bets[max(bet.from_window for bet in bets)] = bets
        return web.json_response({"bets": []})


@dataclass
class Pods:
    """Servers on loopback, one a pod."""

    pods: list[Pod]
    targets: tuple[Target, ...] = ()
    runners: list[web.AppRunner] = field(default_factory=list)

    async def start(self) -> Pods:
        targets = []
        for pod in self.pods:
            app = web.Application()
            app.router.add_get("/v1/sketch", pod.sketch)
            app.router.add_get("/v1/baseline", pod.held_out)
            app.router.add_get("/v1/recall", pod.recall)
            app.router.add_put("/v1/bets", pod.put)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.runners.append(runner)
            port = runner.addresses[0][1]
            targets.append(Target(f"uid-{pod.name}", pod.name, f"http://127.0.0.1:{port}"))
        self.targets = tuple(targets)
        return self

    def close(self, window: int, n: int = 400, shift: float = 0.0) -> None:
        for pod in self.pods:
            pod.close(window, n // len(self.pods), shift)

    async def stop(self) -> None:
        for runner in self.runners:
            await runner.cleanup()


class ConfigMaps:
    """The few calls of `Api` that a state needs, with resourceVersions as the real one has them."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.down = False
        self._version = 10

    async def get(self, kind: Any, namespace: str, name: str) -> dict[str, Any]:
        self._check()
        if name not in self.objects:
            raise NotFound(404, "NotFound", name)
        return copy.deepcopy(self.objects[name])

    async def create(self, kind: Any, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        name = body["metadata"]["name"]
        if name in self.objects:
            raise AlreadyExists(409, "AlreadyExists", name)
        return self.put(body, "POST")

    async def apply(self, kind: Any, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        known = self.objects[body["metadata"]["name"]]["metadata"]["resourceVersion"]
        if body["metadata"]["resourceVersion"] != known:
            raise Conflict(409, "Conflict", "the object has been modified")
        return self.put(body, "APPLY")

    def put(self, body: dict[str, Any], verb: str) -> dict[str, Any]:
        self._version += 1
        stored = copy.deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.objects[body["metadata"]["name"]] = stored
        self.writes.append(f"{verb} {body['metadata']['name']}")
        return stored

    def _check(self) -> None:
        if self.down:
            raise Unavailable(503, "Unavailable", "down")


def watch_of(targets: Iterable[Target], parameters: Any, first: int = 0) -> DriftWatch:
    return DriftWatch("watch", "policy-uid", SPACE, tuple(targets), first, parameters)
