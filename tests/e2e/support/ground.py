"""A world in which releases are imported from ready-made models, watched, and kept under load."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.load import Load, glyph_queries, start_load
from tests.e2e.support.models import IMPORTS, Defect, Shelf
from tests.e2e.support.watch import Seen, Watch
from tests.e2e.support.world import World, merge

CONNECTIONS, QUERIES = 16, 24
# Long enough that the shares of the answers can be told.
HOLD_SECONDS = 25


def steps(hold: int = HOLD_SECONDS) -> list[Object]:
    """25 and 50 percent, each held for so many seconds, then all."""
    pause = {"pause": {"seconds": hold}}
    return [{"setWeight": 25}, pause, {"setWeight": 50}, pause, {"setWeight": 100}]


STEPS = steps()
RECALL: Object = {
    "name": "relevance",
    "type": "Recall",
    "k": 1,
    "min": "0.20",
    "maxRegression": "0.08",
    "minSamples": 100,
}
BEFORE_CANARY = ("Importing", "Evaluating", "Indexing", "Verifying", "Warming")
ENDED = ("Serving", "Failed", "Superseded", "Retained", "Retired")


@dataclass
class Ground:
    """The model serves release 1 from the start on; seeds of models are never used twice."""

    world: World
    load_url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    seed: int = 0
    characters: int = 60
    # Its models come with what a monitor sums up with, which takes 2000 drawings.
    is_watched: bool = False
    drawings: int = 0

    def open(self, **changes: Any) -> None:
        """Release 1 serves; `changes` are laid over the spec of the model."""
        world = self.world
        world.draw(self.characters)
        self.shelf = Shelf(world)
        self.shelf.open()
        if self.is_watched:
            self.drawings = self.shelf.hold_out()
        self.watch = Watch(world.kube, world.namespace).start()
        model = world.model(artifact=self.artifact(), evaluation=_evaluation(world), **_SPEC)
        del model["spec"]["training"]
        model["spec"] = merge(model["spec"], changes)
        self.rollout = model["spec"]["rollout"]
        world.kube.apply(model, world.index())
        self.until_serves(1)
        self.queries = glyph_queries(world, 1, QUERIES)
        self.load_url = self.load_url or f"http://{world.name}:8080/v1/search"

    def close(self) -> None:
        """Removes the world; nobody asks its servers any more, so none has to drain."""
        self.watch.stop()
        kube, namespace = self.world.kube, self.world.namespace
        kube.run("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
        kube.run("delete", "pods", "--all", "-n", namespace, "--grace-period=1", "--wait=false")
        self.world.close()

    def artifact(self, defect: Defect = Defect.NONE) -> Object:
        """`spec.artifact` of a model that no release had."""
        self.seed += 1
        digest = self.shelf.put(self.seed, defect)
        return {"uri": f"file://{IMPORTS}", "digest": digest}

    def under_load(self) -> Load:
        """16 connections that search the entry point, every answer checked."""
        environment = {
            "PAUSE": "0.05",
            # Each connection is one draw of a pod: shares are told by some hundreds of them.
            "REUSE": "10",
            "REFERENCES": "http://{release}-encoder:8080/v1/search",
            **self.environment,
        }
        return start_load(
            self.world,
            self.queries,
            url=self.load_url,
            connections=CONNECTIONS,
            environment=environment,
        )

    def release_next(self, defect: Defect = Defect.NONE, **changes: Any) -> int:
        """Changes the spec to another model; the number of the release that it makes."""
        number = self.newest() + 1
        self.world.patch("em", merge({"artifact": self.artifact(defect)}, changes))
        return number

    def newest(self) -> int:
        return max(int(seen.object["spec"]["number"]) for seen in self.watch.all("er"))

    def name(self, number: int) -> str:
        return f"{self.world.name}-r{number}"

    def status(self, number: int) -> Object:
        seen = self.watch.now("er", self.name(number))
        return {} if seen is None else seen.status

    def stage(self, number: int) -> str:
        return str(self.status(number).get("stage") or "")

    def step(self, number: int) -> int | None:
        """The step under way, from 0, while the release is at Canary."""
        status = self.status(number)
        at = status.get("step") if status.get("stage") == "Canary" else None
        return None if at is None else int(at["index"])

    def until(self, look: Callable[[], Any], *, what: str, seconds: float = 120) -> Any:
        return self.watch.until(look, what=what, seconds=seconds)

    def until_stage(self, number: int, *stages: str, seconds: float = 180) -> str:
        def look() -> str | None:
            stage = self.stage(number)
            if stage in ENDED and stage not in stages:
                told = self.status(number).get("message")
                raise AssertionError(f"r{number} is {stage}, not at {stages}: {told}")
            return stage if stage in stages else None

        found: str = self.until(look, what=f"r{number} at {stages}", seconds=seconds)
        return found

    def until_step(self, number: int, index: int, seconds: float = 180) -> None:
        """Waits until the release takes step `index`, from 0, or a later one."""

        def look() -> bool:
            stage, step = self.stage(number), self.step(number)
            assert stage not in ENDED, f"r{number} is {stage}: {self.status(number)['message']}"
            return stage == "Promoting" or (step is not None and step >= index)

        self.until(look, what=f"r{number} at step {index + 1}", seconds=seconds)

    def until_serves(self, number: int, seconds: float = 240) -> Object:
        """Waits until the release serves everybody; returns the model's status."""
        self.until_stage(number, "Serving", seconds=seconds)
        return self.until_stable(number)

    def until_stable(self, number: int, seconds: float = 60) -> Object:
        """Waits until the model says that the release serves, and that none is on its way."""

        def look() -> Object | None:
            status = self.model_status()
            stable = (status.get("stable") or {}).get("release")
            return status if stable == self.name(number) and not status.get("candidate") else None

        found: Object = self.until(look, what=f"r{number} alone", seconds=seconds)
        return found

    def model_status(self) -> Object:
        """The model's status as it was seen last."""
        seen = self.watch.now("em", self.world.name)
        return {} if seen is None else seen.status

    def message(self) -> str:
        """The status line that a person sees."""
        return str(self.model_status().get("message"))

    def stable(self) -> int:
        return int(str(self.model_status()["stable"]["release"]).rpartition("-r")[2])

    def artifact_of(self, number: int) -> Object:
        """`spec.artifact` that made the release."""
        seen = self.watch.now("er", self.name(number))
        assert seen is not None
        found: Object = seen.object["spec"]["artifact"]
        return found

    def settled(self) -> bool:
        """Whether a release serves, and none is on its way."""
        status = self.model_status()
        return bool(status.get("stable")) and not status.get("candidate")

    def settle(self) -> int:
        """Gives up what is on its way; returns the release that serves."""

        def look() -> bool:
            candidate = (self.model_status().get("candidate") or {}).get("release")
            if candidate:
                self.world.annotate("abort", candidate.rpartition("-")[2])
            return self.settled()

        wait_until(look, what="no candidate", seconds=120, every=2.0)
        return self.stable()

    def when(self, number: int, reached: Callable[[Seen], bool]) -> float | None:
        """The time at which the release was first seen so."""
        found = (s.at for s in self.watch.history(self.name(number)) if reached(s))
        return next(found, None)

    def held(self, number: int, index: int) -> tuple[float, float]:
        """From when to when step `index` was under way."""
        states = self.watch.history(self.name(number))
        at = [s.at for s in states if (s.status.get("step") or {}).get("index") == index]
        after = [s.at for s in states if at and s.at > at[-1]]
        return at[0], after[0] if after else time.time()


def share(tally: Object, name: str, since: float, until: float) -> tuple[float, int]:
    """Percent of the answers that a release gave, in whole seconds between both times, and n."""
    counted = {
        release: sum(
            n for second, n in seconds.items() if since + 1 <= int(second) and int(second) < until
        )
        for release, seconds in tally["seconds"].items()
    }
    total = sum(counted.values())
    return (100 * counted.get(name, 0) / total if total else 0.0), total


def seconds_of(text: str) -> float:
    """A time of a status, in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def _evaluation(world: World) -> Object:
    split = {"by": "Class", "evalFraction": "0.3", "seed": 0}
    return {"data": {"uri": world.dataset, "format": "NPZ", "split": split}}


_SPEC: Object = {
    "serving": {"replicas": 3},
    "rollout": {
        "steps": STEPS,
        "gates": [RECALL],
        "progressDeadlineSeconds": 150,
        "abortScaleDownDelaySeconds": 6,
    },
}
