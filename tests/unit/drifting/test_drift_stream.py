"""A policy's stream over real HTTP: pods that answer, are late, lie and flood; and what is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from lockstep_core.drift import baseline_file
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.protocol.drift import BaselineKind, Parameters, Seen
from lockstep_operator.runtime.drift_metrics import SERIES
from lockstep_operator.runtime.drift_store import DriftStore, Place
from lockstep_operator.runtime.drift_stream import HISTORY, Stream, bets_request
from lockstep_operator.runtime.drift_watching import DriftWatcher
from lockstep_operator.runtime.monitors import Monitors
from lockstep_operator.runtime.queue import Key
from tests.unit.drifting.pods import RELEASE, ConfigMaps, Pod, Pods, watch_of
from tests.unit.drifting.streams import draw, features

pytestmark = pytest.mark.unit

KEY = Key("shop", "glyphs")
PLACE = Place("shop", "glyphs", "watch", "policy-uid")
PARAMETERS = Parameters(RELEASE, baseline_windows=8, budget_windows=100.0)


class Scene:
    """Two pods, a ConfigMap, and a stream that looks at them."""

    def __init__(self, pods: Pods) -> None:
        self.pods = pods
        self.maps = ConfigMaps()
        self.monitors = Monitors(timeout=0.5, limit=4 * 1024 * 1024)
        self.parameters = PARAMETERS
        self.window = 1000
        self.stream = self.fresh()

    def fresh(self) -> Stream:
        api: Any = self.maps
        return Stream("policy-uid", DriftStore(api, PLACE), self.monitors)

    @property
    def watch(self) -> Any:
        return watch_of(self.pods.targets, self.parameters, first=990)

    async def look(self) -> Any:
        report = await self.stream.look(self.watch, self.window - 1)
        digest, bets = self.stream.bets
        if bets:
            for target in self.pods.targets:
                await self.monitors.put_bets(target, bets_request(digest, bets))
        return report

    async def next(self, n: int = 400, shift: float = 0.0) -> Any:
        self.pods.close(self.window, n, shift)
        self.window += 1
        return await self.look()

    async def run(self, windows: int, shift: float = 0.0) -> Any:
        for _ in range(windows):
            report = await self.next(shift=shift)
        return report


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    pods = await Pods([Pod("a", 1), Pod("b", 2)]).start()
    found = Scene(pods)
    yield found
    await found.monitors.close()
    await pods.stop()


async def test_pods_are_merged_and_drift_is_seen(scene: Scene) -> None:
    report = await scene.run(10)
    (role,) = report.roles
    assert (report.pods, report.answered, report.problem) == (2, 2, "")
    assert role.judged is not None and role.judged.samples == 400
    while Seen.EVIDENCE not in (await scene.next(shift=0.3)).roles[0].seen:
        assert scene.window < 1040
    # One write a window, by the version before: nothing is written in between.
    assert len(scene.maps.writes) == scene.window - 1000
    assert scene.maps.writes[:2] == ["POST watch-drift", "APPLY watch-drift"]
    metadata = scene.maps.objects["watch-drift"]["metadata"]
    assert metadata["ownerReferences"][0]["uid"] == "policy-uid"
    before = len(scene.maps.writes)
    await scene.look()
    assert len(scene.maps.writes) == before, "a window that was judged is not written again"


async def test_a_new_policy_learns_from_what_the_monitors_still_have(scene: Scene) -> None:
    for _ in range(40):
        scene.pods.close(scene.window)
        scene.window += 1
    (role,) = (await scene.look()).roles
    assert role.tolerance is not None and role.judged is not None
    assert all(pod.asked <= 2 + HISTORY // 16 for pod in scene.pods.pods)


async def test_what_was_before_the_promotion_is_not_learned(scene: Scene) -> None:
    for _ in range(10):
        scene.pods.close(scene.window)
        scene.window += 1
    watch = watch_of(scene.pods.targets, scene.parameters, first=1006)
    report = await scene.stream.look(watch, scene.window - 1)
    assert report.roles[0].learned == 4


async def test_a_pod_that_is_late_once_is_waited_for(scene: Scene) -> None:
    await scene.run(10)
    scene.pods.pods[1].answers = "late"
    report = await scene.next()
    assert report.window == scene.window - 2 and report.answered == 1
    scene.pods.pods[1].answers = "well"
    report = await scene.next()
    assert report.window == scene.window - 1
    assert report.roles[0].judged.samples == 400
    scene.pods.pods[1].answers = "late"
    for _ in range(3):
        report = await scene.next()
    # The other pods do not wait for it for ever.
    assert report.window == scene.window - 2 and report.roles[0].judged.samples == 200


@pytest.mark.parametrize(
    ("change", "words", "watchable"),
    [
        ({"answers": "no"}, "the monitor of pod a answered 500", True),
        ({"answers": '{"x": 1}'}, "gave no sketches", True),
        ({"answers": "late"}, "gave no answer within 0.5 s", True),
        ({"answers": "floods"}, "gave more than 4,194,304 bytes", True),
        ({"release": "glyphs-r9"}, "is of glyphs-r9, not of glyphs-r1", True),
        ({"space": None}, "waits for its encoder", True),
        ({"space": "f" * 12}, f"watches space {'f' * 12}", True),
        ({"seconds": 60}, "has windows of 60 s, not of 300", True),
        ({"digest": None}, "this artifact was made before monitoring", False),
    ],
)
async def test_why_nothing_comes(
    scene: Scene, change: dict[str, Any], words: str, watchable: bool
) -> None:
    for pod in scene.pods.pods:
        for name, value in change.items():
            setattr(pod, name, value)
    scene.pods.close(scene.window)
    scene.window += 1
    report = await scene.look()
    assert words in report.problem and report.watchable is watchable
    assert scene.maps.writes == []


async def test_no_pod_is_ready(scene: Scene) -> None:
    scene.pods.targets = ()
    report = await scene.next()
    assert report.problem == "no encoder pod of glyphs-r1 is ready"


async def test_a_pod_of_other_features_is_left_out_and_named(scene: Scene) -> None:
    await scene.run(9)
    scene.pods.close(scene.window)
    wire = scene.pods.pods[1].sketches[scene.window]
    scene.pods.pods[1].sketches[scene.window] = wire | {"featuresDigest": "sha256:" + "0" * 64}
    scene.window += 1
    report = await scene.look()
    assert report.note.startswith("pod b is left out: features digest")
    assert report.roles[0].samples == 200
    scene.pods.close(scene.window)
    scene.pods.pods[1].sketches[scene.window] = {"window": scene.window, "n": -1}
    scene.window += 1
    assert "a sketch of pod b is left out" in (await scene.look()).note


async def test_a_restart_goes_on_and_tells_at_once_what_was_seen_last(scene: Scene) -> None:
    last = await scene.run(12)
    scene.stream = scene.fresh()
    report = await scene.stream.load(scene.watch)
    assert report is not None and report.roles == last.roles and report.window == last.window
    after = await scene.next()
    assert after.roles[0].tolerance == last.roles[0].tolerance
    other = replace(scene.parameters, release="glyphs-r2")
    assert await scene.fresh().load(watch_of(scene.pods.targets, other)) is None


async def test_another_leaders_later_state_is_taken_over(scene: Scene) -> None:
    await scene.run(10)
    other, mine = scene.fresh(), scene.stream
    await other.load(scene.watch)
    scene.stream = other
    await scene.run(2)
    theirs = scene.maps.objects["watch-drift"]["data"]["state.json"]
    # The one before still looks at an older window: it must not take the state back.
    scene.window -= 1
    scene.stream = mine
    await scene.look()
    assert scene.maps.objects["watch-drift"]["data"]["state.json"] == theirs
    scene.window += 1
    report = await scene.next()
    assert report.window == scene.window - 1
    assert scene.maps.objects["watch-drift"]["data"]["state.json"] != theirs


async def test_a_hand_on_the_config_map_costs_nothing(scene: Scene) -> None:
    await scene.run(3)
    found = scene.maps.objects["watch-drift"]
    scene.maps.put({**found, "data": {"state.json": "{torn"}}, "EDIT")
    report = await scene.next()
    assert report.roles[0].learned == 4
    assert '"window":1003' in scene.maps.objects["watch-drift"]["data"]["state.json"]
    del scene.maps.objects["watch-drift"]
    scene.stream = scene.fresh()
    await scene.stream.load(scene.watch)
    # The monitors still have those windows.
    assert (await scene.next()).roles[0].learned == 5


async def test_a_config_map_of_someone_else_is_left_alone_and_told(scene: Scene) -> None:
    body = {"metadata": {"name": "watch-drift"}, "data": {"mine": "1"}}
    scene.maps.put(body, "THEIRS")
    report = await scene.next()
    assert "ConfigMap watch-drift belongs to someone else" in (await scene.next()).note
    assert scene.maps.objects["watch-drift"]["data"] == {"mine": "1"} and report.roles
    # As the one of a policy of the same name that was deleted, which goes by itself.
    del scene.maps.objects["watch-drift"]
    assert (await scene.next()).note == ""
    assert "state.json" in scene.maps.objects["watch-drift"]["data"]


async def test_while_the_api_server_is_away_windows_are_judged_all_the_same(scene: Scene) -> None:
    await scene.run(10)
    scene.maps.down = True
    report = await scene.next()
    assert report.roles[0].judged is not None
    scene.maps.down = False
    await scene.next()
    assert '"window":1011' in scene.maps.objects["watch-drift"]["data"]["state.json"]


async def test_what_was_learned_is_not_written_over_by_a_process_that_could_not_read_it(
    scene: Scene,
) -> None:
    last = await scene.run(12)
    scene.stream, scene.maps.down = scene.fresh(), True
    assert await scene.stream.load(scene.watch) is None
    report = await scene.next()
    assert report.problem == "the API server does not give what was learned so far"
    scene.maps.down = False
    report = await scene.next()
    assert report.roles[0].tolerance == last.roles[0].tolerance and not report.problem


async def test_the_held_out_baseline_comes_from_a_pod(scene: Scene) -> None:
    scene.parameters = replace(PARAMETERS, baseline=BaselineKind.HELD_OUT, tolerance=0.1)
    report = await scene.next()
    assert report.problem == "this artifact has no held-out baseline" and not report.watchable
    rng = np.random.default_rng(5)
    made = from_embeddings(draw(rng, 4000), features(), rng)
    for pod in scene.pods.pods:
        pod.baseline = baseline_file.to_json(made)
    report = await scene.next()
    assert report.roles[0].judged is not None and report.roles[0].tolerance == 0.1


async def test_a_rebaseline_begins_with_the_window_of_now(scene: Scene) -> None:
    await scene.run(10)
    scene.parameters = replace(scene.parameters, epoch="r1")
    report = await scene.next()
    assert report.roles[0].tolerance is None and report.roles[0].learned == 1


async def test_the_watcher_looks_once_a_window_and_forgets_what_goes() -> None:
    pods = await Pods([Pod("a", 1, seconds=1)]).start()
    maps, woken = ConfigMaps(), asyncio.Queue[Key]()
    api: Any = maps
    watcher = DriftWatcher(
        api, Monitors(timeout=0.5), wake=woken.put_nowait, unix=time.time, grace=0.05
    )
    parameters = replace(PARAMETERS, window_seconds=1, min_samples=20)
    watch = watch_of(pods.targets, parameters, first=int(time.time()) - 1)
    try:
        watcher.follow(KEY, (watch,))
        for _ in range(2):
            pods.pods[0].close(int(time.time()), 40)
            await asyncio.wait_for(woken.get(), 5)
            watcher.follow(KEY, (watch,))
        asked = pods.pods[0].asked
        await asyncio.sleep(0.3)
        watcher.follow(KEY, (watch,))
        assert pods.pods[0].asked <= asked + 1
        (report,) = watcher.reports(KEY).values()
        assert report.answered == 1 and report.roles
        names = {family.name for family in SERIES.collect() if family.samples}
        assert "lockstep_drift_window_samples" in names
        watcher.follow(KEY, ())
        assert watcher.reports(KEY) == {}
        assert not any(family.samples for family in SERIES.collect())
    finally:
        await watcher.close()
        await pods.stop()
