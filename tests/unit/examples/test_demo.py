"""The demo: its own specs through the operator's rules, what it shows, and where it goes on."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
import yaml
from rich.console import Console, RenderableType

from examples.glyphs.demo import explain, story, view
from examples.glyphs.demo.cluster import binds_at_first_use, wait_until_bound
from examples.glyphs.demo.story import CANARY, COLLAPSE, FIRST, Act, acts_left, is_over, stage_of
from examples.glyphs.demo.view import Timeline
from examples.glyphs.demo.visits import BAR, Counts, Window, bar, picture
from lockstep_kubectl.api import Api, ApiError
from lockstep_kubectl.gather import Snapshot
from lockstep_kubectl.view import view_of
from lockstep_operator.decide.snapshot.measurements import Measurement, Series, SeriesKey, Tally
from lockstep_operator.decide.snapshot.observed import Observed
from tests.unit.decide import worlds
from tests.unit.tallies import tally_of

pytestmark = pytest.mark.unit

MANIFESTS = Path(story.__file__).parents[1] / "manifests"
QUICK = tally_of({"200": 500}, {0.05: 490, 0.5: 500}, 500)
MODEL, INDEX = yaml.safe_load_all((MANIFESTS / "model.yaml").read_text())


class Visited(worlds.World):
    """A world with visitors, whose evaluations measure what serves as well."""

    series: ClassVar[dict[SeriesKey, Series]] = {}

    def observed(self) -> Observed:
        return dataclasses.replace(super().observed(), measurements=self.series)

    def scrape(self, reading: Tally) -> Self:
        """What the operator asks for is measured, and an interval passes."""
        for asked in self.plan.measure:
            before = self.series.get(asked.series, ())
            self.series = self.series | {asked.series: (*before, Measurement(self.now, reading))}
        self.pass_time(4).run()
        return self

    def evaluated(self, config: dict[str, Any]) -> dict[str, Any]:
        found = super().evaluated(config)
        if config.get("stableArtifactDigest"):
            for recall in found["evaluation"]["recall"]:
                spread, gain = {"standardDeviation": 0.1}, self.recall - 0.99
                recall["stable"] = {"n": self.samples, "mean": 0.99, **spread}
                recall["gainOverStable"] = {"n": self.samples, "mean": gain, **spread}
        return found


def begun() -> Visited:
    """The files of the example, applied."""
    world = Visited()
    world.apply_model(**MODEL["spec"]).apply_index(**INDEX["spec"])
    return world


def merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    """A JSON merge patch (RFC 7396)."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def patched(world: Visited, patch: str) -> Visited:
    def change(raw: dict[str, Any]) -> None:
        merge(raw, json.loads(patch))
        raw["metadata"]["generation"] += 1

    world.edit("EmbeddingModel", worlds.MODEL, change)
    return world


@cache
def _world(name: str) -> Visited:
    """Each is what the one before it became."""
    if name == "first serves":
        world = begun()
    elif name == "at a quarter":
        world = patched(world_of("first serves"), CANARY.patch)
    elif name == "at a half":
        world = world_of("at a quarter")
        world.pass_time(6)
    elif name == "second serves":
        world = world_of("at a half").scrape(Tally()).scrape(QUICK)
    else:
        world = world_of("second serves")
        world.recall = 0.68
        patched(world, COLLAPSE.patch)
    world.run()
    return world


def world_of(name: str) -> Visited:
    """A world of its own, so that a test may change it."""
    return copy.deepcopy(_world(name))


def snapshot(world: worlds.World) -> Snapshot:
    def all_of(kind: str) -> tuple[Any, ...]:
        return tuple(raw for (found, _), raw in sorted(world.objects.items()) if found == kind)

    return Snapshot(
        model=world.objects["EmbeddingModel", worlds.MODEL],
        releases=all_of("EmbeddingRelease"),
        jobs=all_of("Job"),
        pods=all_of("Pod"),
        deployments=all_of("Deployment"),
    )


def left(world: worlds.World, last: int = 3) -> tuple[Act, ...]:
    found = snapshot(world)
    return acts_left(found.model, found.releases, last)


def printed(what: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False, emoji=False)
    console.print(what, markup=False) if isinstance(what, str) else console.print(what)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(row.rstrip() for row in console.file.getvalue().splitlines())


# -- the story


def test_release_2_takes_a_quarter_then_half_then_all() -> None:
    world = world_of("at a quarter")
    assert world.status["weightDisplay"] == "25%"
    world = world_of("at a half")
    assert world.status["weightDisplay"] == "50%"
    assert "analysis of latency, errors" in world.status["message"]
    world.scrape(Tally()).scrape(QUICK)
    assert (world.stage(1), world.stage(2)) == ("Retained", "Serving")


def test_release_3_is_stopped_by_its_gate_and_release_2_goes_on() -> None:
    world = world_of("third failed")
    assert world.record(3)["lastFailure"]["reason"] == "GateFailed"
    assert world.status["phase"] == "Degraded"
    assert world.entry() == "glyphs-r2"


def test_the_way_out_needs_no_release() -> None:
    world = patched(world_of("third failed"), story.WAY_OUT).run()
    assert world.status["phase"] == "Healthy"
    assert not world.has_release(4)


def test_the_demo_goes_on_where_an_earlier_run_ended() -> None:
    assert acts_left(None, (), 3) == (FIRST, CANARY, COLLAPSE)
    assert left(begun()) == (FIRST, CANARY, COLLAPSE)
    assert left(begun().settle()) == (FIRST, CANARY, COLLAPSE)
    assert left(world_of("first serves")) == (CANARY, COLLAPSE)
    assert left(world_of("at a quarter")) == (CANARY, COLLAPSE)
    assert left(world_of("second serves")) == (COLLAPSE,)
    assert left(world_of("third failed")) == ()


def test_the_demo_changes_nothing_where_someone_took_the_model_elsewhere() -> None:
    rolled_back = world_of("second serves").annotate("rollback", "r1").run()
    assert rolled_back.stage(1) == "Serving"
    assert left(rolled_back) == ()
    recovered = patched(world_of("third failed"), story.WAY_OUT).run()
    assert left(recovered) == ()


def test_fewer_releases_can_be_asked_for() -> None:
    assert acts_left(None, (), 1) == (FIRST,)
    assert left(world_of("first serves"), last=1) == ()


def test_drift_is_the_last_act_once_the_bad_release_was_stopped() -> None:
    assert left(world_of("third failed"), last=4) == (story.LEARN,)
    assert left(patched(world_of("third failed"), story.WAY_OUT).run(), last=4) == (story.LEARN,)
    assert left(world_of("second serves"), last=4) == (COLLAPSE, story.LEARN)


@pytest.mark.parametrize("act", (FIRST, CANARY, COLLAPSE))
def test_an_act_is_over_when_its_release_ended_and_the_status_tells_so(act: Act) -> None:
    names = {1: "first serves", 2: "second serves", 3: "third failed"}
    found = snapshot(world_of(names[act.number]))
    assert is_over(act, found.model, found.releases)
    assert (stage_of(act, found.model, found.releases) == story.SERVES) is not act.is_bad
    assert act.stages[-1] == stage_of(act, found.model, found.releases)
    found.model["metadata"]["generation"] += 1
    assert not is_over(act, found.model, found.releases)


def test_an_act_under_way_is_not_over() -> None:
    found = snapshot(world_of("at a quarter"))
    assert not is_over(CANARY, found.model, found.releases)
    assert not is_over(COLLAPSE, found.model, found.releases)
    assert story.is_asked_for(CANARY, found.releases)
    assert not story.is_asked_for(COLLAPSE, found.releases)


def test_a_stage_is_told_as_the_models_message_tells_it() -> None:
    """The records were read a moment after the model, and are a stage ahead."""
    found = snapshot(world_of("at a quarter"))
    found.releases[1]["status"]["stage"] = "Promoting"
    assert stage_of(CANARY, found.model, found.releases) == "Canary"
    found.model["status"]["candidate"] = None
    assert stage_of(CANARY, found.model, found.releases) == "Promoting"
    assert stage_of(COLLAPSE, found.model, found.releases) == "Pending"


# -- who answers


def counts(failed: int = 0, mixed: int = 0, **answers: int) -> Counts:
    by = {f"glyphs-{name}": n for name, n in answers.items()}
    return Counts.of({"answers": by, "failed": failed, "mixed": mixed, "lastFailure": "refused"})


def test_shares_are_of_the_last_seconds_and_not_of_all() -> None:
    window = Window(seconds=3.0)
    assert window.shares() == {}
    for second in range(10):
        window.add(float(second), counts(r1=100 * second))
    window.add(12.0, counts(r1=975, r2=25))
    assert window.shares() == pytest.approx({"glyphs-r1": 0.75, "glyphs-r2": 0.25})


def test_visitors_who_began_anew_are_counted_anew() -> None:
    window = Window()
    window.add(0.0, counts(r1=1000))
    window.add(1.0, counts(r2=10))
    assert window.shares() == {"glyphs-r2": 1.0}


def test_a_window_without_answers_has_no_shares() -> None:
    window = Window()
    window.add(0.0, counts(r1=5))
    window.add(1.0, counts(r1=5))
    assert window.shares() == {}


def test_counts_in_words() -> None:
    assert counts(r2=96, r1=1204).told() == "r1 1,204, r2 96; failed 0, mixed 0"
    bad = counts(failed=1, r1=1)
    assert bad.told() == "r1 1; failed 1 (refused), mixed 0"
    assert not bad.is_clean and not counts(mixed=1).is_clean and counts(r1=1).is_clean


@pytest.mark.parametrize(("share", "cells"), [(0.0, 0), (0.25, 8), (1.0, BAR), (1.7, BAR)])
def test_a_bar_is_as_full_as_its_share(share: float, cells: int) -> None:
    assert bar(share, "green").plain == "█" * cells + "░" * (BAR - cells)


def test_the_picture_shows_weight_and_answers() -> None:
    window = Window()
    window.add(0.0, counts(r1=100))
    window.add(1.0, counts(r1=175, r2=25))
    shown = [row.split() for row in printed(picture(window, 20, 25)).splitlines()]
    assert shown[0][-3:] == ["20%", "25%", "asked"]
    assert [(row[2], row[4], row[5]) for row in shown[1:3]] == [
        ("r1", "75%", "175"),
        ("r2", "25%", "25"),
    ]
    assert shown[3] == ["failed", "0", "mixed", "0"]


# -- the release as it moves


def test_a_step_of_the_canary_is_a_moment_and_its_time_counts_to_the_stage() -> None:
    found = snapshot(world_of("at a quarter"))
    at = view.moment(CANARY, found, view_of(found))
    assert at == "Canary 2/5 pause 5 s"
    timeline = Timeline(100.0)
    moments = {"Warming": 101.0, "Canary 1/5 25%": 104.0, at: 106.0, "Promoting": 111.5}
    assert all(timeline.observe(name, when) for name, when in moments.items())
    assert not timeline.observe(at, 200.0)
    assert timeline.seconds() == {"Warming": 3.0, "Canary 1/5 25%": 2.0, at: 5.5}
    assert timeline.stage_seconds("Canary") == 7.5
    assert timeline.stage_seconds("Promoting") is None
    row = view.stages(CANARY, timeline, "Promoting").plain
    assert "✓ Training  " in row and "✓ Warming 3 s  ✓ Canary 8 s  ▶ Promoting  · Final" in row


def test_the_canary_before_the_readers_eyes() -> None:
    world, window = world_of("at a quarter"), Window()
    window.add(0.0, counts(r1=30, r2=10))
    found, timeline = view_of(snapshot(world)), Timeline(0.0)
    shown = printed(view.render(CANARY, found, timeline, "Canary", window, world.now))
    for part in (
        "Release 2",
        "▶ Canary",
        "candidate's weight",
        "25%",
        "answered by r2",
        "failed 0",
    ):
        assert part in shown
    assert "✔ 25%" in shown and "▶ pause 5 s" in shown and "· analysis latency, errors" in shown


def test_in_a_pipe_each_moment_is_a_line() -> None:
    found, window, timeline = view_of(snapshot(world_of("at a quarter"))), Window(), Timeline(0.0)
    timeline.observe("Canary 2/5 pause 5 s", 12.0)
    plain = view.line(timeline, "Canary 2/5 pause 5 s", found, window)
    assert plain.startswith("  12.0 s  Canary 2/5 pause 5 s") and found.message in plain
    window.add(0.0, counts(r1=3))
    told = view.line(timeline, "Canary 2/5 pause 5 s", found, window)
    assert told == f"{plain}  [r1 3; failed 0, mixed 0]"


# -- in words


def test_a_stopped_release_is_explained() -> None:
    told = explain.after(COLLAPSE, snapshot(world_of("third failed")))
    assert "r3 was stopped before it answered anyone; r2 serves." in told
    assert "recall@1 0.680 < 0.950 FAIL" in told
    assert "The variance of its embeddings" in told
    assert "lockstep.dev/retry=r3" in told.splitlines()[-1]


def test_a_release_that_serves_says_what_is_kept() -> None:
    assert "kept" not in explain.after(FIRST, snapshot(world_of("first serves")))
    told = explain.after(CANARY, snapshot(world_of("second serves")))
    assert "r2 answers all requests. r1 is kept whole and warm" in told
    assert "relevance: recall@1" in told


def test_what_to_try_next_fits_what_is_there() -> None:
    told = explain.what_next(snapshot(world_of("third failed")), "/tmp/config", "/opt/bin")
    assert "export KUBECONFIG=/tmp/config PATH=/opt/bin:$PATH" in told
    assert "kubectl lockstep status -n glyphs" in told
    assert "Back to r1" in told and story.WAY_OUT in told and "make demo-down" in told
    first = explain.what_next(snapshot(world_of("first serves")), "/tmp/config", "/opt/bin")
    assert "Back to" not in first and "patch" not in first and "make demo-down" in first


# -- the claim


class Answers(Api):
    """An API server that knows a claim and its class."""

    def __init__(self, phases: list[str], mode: str | None) -> None:
        self.__dict__.update(phases=phases, mode=mode, asked=0)

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        if "/storageclasses/" in path:
            if self.__dict__["mode"] is None:
                raise ApiError(404, "not found")
            return {"volumeBindingMode": self.__dict__["mode"]}
        phases = self.__dict__["phases"]
        phase = phases.pop(0) if len(phases) > 1 else phases[0]
        return {"spec": {"storageClassName": "lockstep-dev"}, "status": {"phase": phase}}


class Time:
    now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("phases", "mode", "bound", "seconds"),
    [
        (["Bound"], None, True, 0.0),
        (["Pending", "Pending", "Bound"], None, True, 1.0),
        (["Pending", "Bound"], "Immediate", True, 0.5),
        (["Pending"], "WaitForFirstConsumer", False, 0.0),
        (["Pending"], None, False, 20.0),
    ],
)
def test_the_claim_is_waited_for_and_not_for_ever(
    phases: list[str], mode: str | None, bound: bool, seconds: float
) -> None:
    time = Time()
    api = Answers(list(phases), mode)
    found = wait_until_bound(api, seconds=20.0, clock=time.clock, sleep=time.sleep)
    assert (found, time.now) == (bound, seconds)


def test_binding_at_first_use_is_read_from_the_class() -> None:
    assert binds_at_first_use({"volumeBindingMode": "WaitForFirstConsumer"})
    assert not binds_at_first_use({"volumeBindingMode": "Immediate"})
    assert not binds_at_first_use(None)


def test_the_claim_comes_in_a_file_of_its_own() -> None:
    kinds = [raw["kind"] for raw in yaml.safe_load_all((MANIFESTS / "claim.yaml").read_text())]
    assert kinds == ["Namespace", "PersistentVolumeClaim"]
    dataset = list(yaml.safe_load_all((MANIFESTS / "dataset.yaml").read_text()))
    assert [raw["kind"] for raw in dataset] == ["Job"]
