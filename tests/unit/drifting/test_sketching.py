"""The reading of the gates `Geometry` and `Drift` over real HTTP: two releases, two pods each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from lockstep_core.drift import baseline_file
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.sketch_wire import sketch_to_wire
from lockstep_core.protocol.monitoring import NO_FEATURES, TrafficRole
from lockstep_operator.decide.snapshot.measurements import (
    MeasureRequest,
    Monitored,
    SeriesKey,
    Sketch,
    Sketched,
    Unmeasured,
    Unwatchable,
)
from lockstep_operator.runtime.measuring import Measurer
from lockstep_operator.runtime.monitors import Monitors
from lockstep_operator.runtime.probing import Prober
from lockstep_operator.runtime.queue import Key
from tests.unit.drifting.pods import SPACE, Pod, Pods
from tests.unit.drifting.streams import SECONDS, draw, features, sketch_of

pytestmark = pytest.mark.unit

KEY = Key("shop", "glyphs")
OWN, STABLE = "glyphs-r2", "glyphs-r1"
FIRST, LAST, N = 1000, 1001, 520


@cache
def held_out() -> bytes:
    rng = np.random.default_rng(5)
    return baseline_file.to_json(from_embeddings(draw(rng, 3000), features(), rng))


@cache
def wire(window: int, seed: int, shift: float = 0.0) -> dict[str, Any]:
    rows = draw(np.random.default_rng((window, seed)), N, shift)
    return sketch_to_wire(sketch_of(rows, window, seed=seed))


def close(pods: Pods, window: int, shift: float = 0.0) -> None:
    for pod in pods.pods:
        pod.open_window = max(pod.open_window, window + 1)
        pod.sketches[window] = dict(wire(window, pod.seed, shift))


class Scene:
    """Two releases, each with two pods that closed four windows."""

    def __init__(self, own: Pods, stable: Pods) -> None:
        self.own, self.stable = own, stable
        self.woken: asyncio.Queue[Key] = asyncio.Queue()
        self.measurer = Measurer(
            Prober(timeout=0.5),
            Monitors(timeout=2.0),
            wake=self.woken.put_nowait,
            now=lambda: datetime(2026, 1, 31, tzinfo=UTC),
        )
        self.asked = 0

    @property
    def what(self) -> Sketch:
        own = Monitored(OWN, SPACE, self.own.targets)
        stable = Monitored(STABLE, SPACE, self.stable.targets)
        return Sketch(TrafficRole.QUERY, SECONDS, FIRST, LAST, own, stable)

    async def measure(self, **changes: Any) -> Any:
        key = SeriesKey(OWN, "1@x", f"g{self.asked}")
        self.asked += 1
        self.measurer.follow(KEY, (MeasureRequest(key, 0, replace(self.what, **changes)),))
        await asyncio.wait_for(self.woken.get(), 30)
        return self.measurer.series(KEY)[key][-1].reading


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    made = []
    for release in (OWN, STABLE):
        pods = [Pod(f"{release}-{n}", n, release=release, baseline=held_out()) for n in (1, 2)]
        made.append(await Pods(pods).start())
    for window in (FIRST - 1, FIRST, LAST, LAST + 1):
        for pods in made:
            close(pods, window)
    found = Scene(*made)
    yield found
    await found.measurer.close()
    for pods in made:
        await pods.stop()


async def test_pods_of_both_releases_are_merged_over_the_windows_asked_for(scene: Scene) -> None:
    found = await scene.measure()
    assert isinstance(found, Sketched) and found.stable is not None
    assert (found.windows, found.seconds, found.alone) == (2, SECONDS, "")
    for one, release in ((found.own, OWN), (found.stable, STABLE)):
        assert (one.release, one.n, one.sampled, one.invalid) == (release, 4 * N, 4 * N, {})
        assert set(one.shapes) == {
            "spread",
            "participationRatio",
            "effectiveRank",
            "normMean",
        }
        assert one.distance is not None and abs(one.distance.value) < 4 * one.distance.error
        for shape in one.shapes.values():
            assert abs(shape.value / shape.held_out - 1) < 5 * shape.error + 1e-4


async def test_what_moves_in_one_of_them_is_of_that_one(scene: Scene) -> None:
    close(scene.own, LAST, shift=0.5)
    found = await scene.measure()
    assert found.own.distance.value > 5 * found.own.distance.error > 0
    assert abs(found.stable.distance.value) < 4 * found.stable.distance.error


async def test_a_pod_that_cannot_be_read_leaves_nothing_to_judge(scene: Scene) -> None:
    scene.own.pods[1].answers = "broken"
    name = scene.own.pods[1].name
    assert await scene.measure() == Unmeasured(f"the monitor of pod {name} answered 500")
    scene.own.pods[1].answers = "well"
    scene.stable.pods[0].space = None
    name = scene.stable.pods[0].name
    assert await scene.measure() == Unmeasured(f"the monitor of pod {name} waits for its encoder")
    scene.stable.pods[0].space = SPACE
    scene.own.pods[0].open_window = LAST
    name = scene.own.pods[0].name
    words = f"the monitor of pod {name} has not closed the last window"
    assert await scene.measure() == Unmeasured(words)
    none = Monitored(OWN, SPACE, ())
    assert await scene.measure(own=none) == Unmeasured(f"no encoder pod of {OWN} is ready")


async def test_sketches_of_other_features_than_the_baseline_are_no_measurement(
    scene: Scene,
) -> None:
    for pod in scene.own.pods:
        for wire in pod.sketches.values():
            wire["featuresDigest"] = "sha256:" + "0" * 64
    found = await scene.measure()
    assert isinstance(found, Unmeasured)
    assert found.message.startswith(f"sketches of {OWN} do not fit: features digest")


async def test_a_candidate_with_nothing_to_watch_with_is_told_once(scene: Scene) -> None:
    for pod in scene.own.pods:
        pod.digest = None
    assert await scene.measure() == Unwatchable(NO_FEATURES)


async def test_a_stable_release_with_nothing_to_watch_with_leaves_it_alone(scene: Scene) -> None:
    for pod in scene.stable.pods:
        pod.baseline = None
    found = await scene.measure()
    assert found.own.n == 4 * N and found.stable is None
    assert found.alone == (
        f"{STABLE} beside it is not watched: this artifact has no held-out baseline"
    )
    found = await scene.measure(stable=None, alone="nothing serves beside it")
    assert (found.stable, found.alone) == (None, "nothing serves beside it")


async def test_windows_without_traffic_and_other_roles_count_nothing(scene: Scene) -> None:
    found = await scene.measure(role=TrafficRole.EMBEDDING)
    assert (found.own.n, found.own.shapes, found.own.distance) == (0, {}, None)
