"""Index recall of several pods over real HTTP: added up, kept for its span, and asked again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from lockstep_core.protocol.drift import Parameters, RecallBound
from lockstep_operator.runtime.drift_store import DriftStore, Place
from lockstep_operator.runtime.drift_stream import Stream
from lockstep_operator.runtime.monitors import Monitors
from tests.unit.drifting.pods import RELEASE, ConfigMaps, Pod, Pods, watch_of

pytestmark = pytest.mark.unit

BOUND = RecallBound(minimum=0.95, windows=4, min_queries=300)
PARAMETERS = Parameters(RELEASE, baseline_windows=8, budget_windows=100.0, recall=BOUND)


class Scene:
    """Two pods that count, and a stream that asks them."""

    def __init__(self, pods: Pods) -> None:
        self.pods = pods
        self.one, self.other = pods.pods
        self.maps: Any = ConfigMaps()
        self.monitors = Monitors(timeout=0.5)
        self.parameters = PARAMETERS
        self.window = 1000
        self.stream = self.fresh()

    def fresh(self) -> Stream:
        place = Place("shop", "glyphs", "watch", "policy-uid")
        return Stream("policy-uid", DriftStore(self.maps, place), self.monitors)

    async def close(self, *means: float) -> Any:
        """A window ends, in which each pod measured 100 searches."""
        for pod, mean in zip(self.pods.pods, means, strict=True):
            pod.measure(self.window, 100, mean)
        self.pods.close(self.window)
        self.window += 1
        return await self.look()

    async def look(self) -> Any:
        watch = watch_of(self.pods.targets, self.parameters, first=990)
        return await self.stream.look(watch, self.window - 1)


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    pods = await Pods([Pod("a", 1), Pod("b", 2)]).start()
    made = Scene(pods)
    yield made
    await made.monitors.close()
    await pods.stop()


@pytest.mark.asyncio
async def test_pods_and_windows_add_up(scene: Scene) -> None:
    (found,) = (await scene.close(1.0, 0.96)).recalls
    assert (found.index, found.n) == ("glyphs", 200) and not found.judged
    assert found.value == pytest.approx(0.98)
    (found,) = (await scene.close(0.9, 0.9)).recalls
    assert found.n == 400 and found.value == pytest.approx(0.94) and found.judged


@pytest.mark.asyncio
async def test_the_span_rolls(scene: Scene) -> None:
    for _ in range(5):
        assert not (await scene.close(0.97, 0.97)).recalls[0].seen
    for at in range(4):
        (found,) = (await scene.close(0.9, 0.9)).recalls
        assert found.n == 800 and found.seen == (at >= 1), at
    assert found.value == pytest.approx(0.9)


@pytest.mark.asyncio
async def test_what_a_pod_told_stands_when_it_is_gone_and_after_a_restart(scene: Scene) -> None:
    await scene.close(0.9, 1.0)
    scene.other.recall_answers = "500"
    report = await scene.close(0.9, 1.0)
    assert report.recalls[0].n == 300
    assert report.note == "index recall: the monitor of pod b answered 500"
    scene.other.recall_answers = "well"
    scene.stream = scene.fresh()
    assert await scene.stream.load(watch_of(scene.pods.targets, scene.parameters)) is None
    assert (await scene.look()).recalls[0].n == 400


@pytest.mark.asyncio
async def test_monitors_of_before_it_are_told_and_drift_is_watched_on(scene: Scene) -> None:
    for pod in scene.pods.pods:
        pod.recall_answers = "404"
    report = await scene.close(0.9, 0.9)
    assert not report.problem and not report.recalls and report.roles
    assert "of an image that does not measure it" in report.note


@pytest.mark.asyncio
async def test_another_k_is_left_out(scene: Scene) -> None:
    scene.one.measure(1000, 500, 0.1, k=20)
    (found,) = (await scene.close(1.0, 1.0)).recalls
    assert found.n == 200 and found.value == 1.0


@pytest.mark.asyncio
async def test_windows_of_another_length_are_forgotten(scene: Scene) -> None:
    """Their numbers would never be older than the span."""
    await scene.close(0.5, 0.5)
    for pod in scene.pods.pods:
        pod.seconds, pod.recalls = 3600, []
    scene.window = 90
    scene.parameters = replace(PARAMETERS, window_seconds=3600)
    watch = replace(watch_of(scene.pods.targets, scene.parameters), first_window=80)
    scene.pods.close(90)
    assert (await scene.stream.look(watch, 90)).recalls == ()


@pytest.mark.asyncio
async def test_no_pod_is_asked_where_the_policy_has_no_bound(scene: Scene) -> None:
    scene.parameters = replace(PARAMETERS, recall=None)
    for pod in scene.pods.pods:
        pod.recall_answers = "500"
    report = await scene.close(0.9, 0.9)
    assert report.recalls == () and not report.note
