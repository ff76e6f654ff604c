"""Analysis steps: what is asked when, what a series decides, and replays as Jobs of the release."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.gates.analysis import Analysis, analyse
from lockstep_operator.decide.snapshot.measurements import (
    Answer,
    Measurement,
    MeasureRequest,
    Query,
    Scrape,
    Series,
    SeriesKey,
    Tally,
    Target,
    Unmeasured,
)
from lockstep_operator.decide.snapshot.snapshot import read
from tests.unit.tallies import tally_of

pytestmark = pytest.mark.unit

if "decide_worlds" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "decide_worlds", Path(__file__).with_name("worlds.py")
    )
    assert _spec and _spec.loader
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["decide_worlds"] = _module
    _spec.loader.exec_module(_module)
worlds: Any = sys.modules["decide_worlds"]

LATENCY = {
    "name": "latency",
    "type": "Latency",
    "quantile": "0.95",
    "maxMilliseconds": 100,
    "minSamples": 100,
}
ERRORS = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.01", "minSamples": 100}
LOAD = {
    "name": "load",
    "type": "Prometheus",
    "prometheus": {
        "url": "http://prometheus:9090",
        "query": 'x{ns="$(namespace)",m="$(model)",r="$(release)",s="$(stable)"}',
    },
    "maxValue": "0.5",
}
RECALL = {"name": "live", "type": "LiveRecall", "k": 1, "min": "0.9", "minSamples": 300}
GOOD = tally_of({"200": 1000}, {0.1: 1000}, 1000)
SLOW = tally_of({"200": 1000}, {0.1: 500, 0.25: 500}, 1000)
FAILING = tally_of({"200": 500, "500": 500}, {0.1: 1000}, 1000)


class Lab:
    """A canary at its analysis step, and the series that the runtime would hold."""

    def __init__(self, *gates: Any) -> None:
        names = [gate["name"] for gate in gates]
        steps = [{"setWeight": 25}, {"analysis": {"gates": names}}, {"pause": {}}]
        self.world = worlds.canary(steps, at=1, gates=[worlds.GATE, *gates])
        self.names = names
        self.series: dict[SeriesKey, Series] = {}
        self.asked: list[MeasureRequest] = []
        self.wake: float | None = None

    def pod(self, name: str, *, ready: bool = True, release: str = "glyphs-r2") -> Lab:
        raw = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {
                    "lockstep.dev/model": "glyphs",
                    "lockstep.dev/release": release,
                    "lockstep.dev/component": "encoder",
                },
            },
            "spec": {"containers": []},
            "status": {
                "podIP": "10.0.0.7",
                "conditions": [{"type": "Ready", "status": str(ready)}],
            },
        }
        self.world.create(raw)
        return self

    def context(self) -> ReconcileContext:
        observed = dataclasses.replace(self.world.observed(), measurements=self.series)
        return ReconcileContext(read(observed, self.world.settings, self.world.now))

    def analysed(self, context: ReconcileContext) -> Analysis:
        release = context.release("glyphs-r2")
        assert release.status.step is not None
        return analyse(context, release, self.names, release.status.step)

    def look(self) -> Analysis:
        context = self.context()
        found = self.analysed(context)
        self.asked, self.wake = list(context.measure), context.look_again_after
        self.created = context.create
        # Looking again asks for the same and says the same.
        again = self.context()
        assert self.analysed(again) == found
        assert again.measure == context.measure
        return found

    def request(self, name: str) -> MeasureRequest:
        (found,) = (r for r in self.asked if r.series.gate.startswith(f"{name}-"))
        return found

    def answer(self, name: str, reading: Tally | Answer | Unmeasured) -> None:
        request = self.request(name)
        assert request.is_due and request.number == len(self.series.get(request.series, ()))
        before = self.series.get(request.series, ())
        self.series = self.series | {
            request.series: (*before, Measurement(self.world.now, reading))
        }

    def play(self, name: str, *readings: Tally | Answer | Unmeasured) -> Analysis:
        """One reading per interval; the look after the last one."""
        for reading in readings:
            found = self.look()
            assert found.verdict is None
            self.world.pass_time(self.request(name).due_in)
            self.look()
            self.answer(name, reading)
        return self.look()


def test_the_ready_encoder_pods_of_the_candidate_are_scraped_at_once() -> None:
    lab = Lab(LATENCY).pod("b").pod("a").pod("starting", ready=False)
    lab.pod("stable", release="glyphs-r1")
    assert lab.look() == Analysis(None, [], "")
    (request,) = lab.asked
    assert request.is_due and request.number == 0 and isinstance(request.what, Scrape)
    assert request.what.release == "glyphs-r2"
    assert [target.pod for target in request.what.targets] == ["a", "b"]
    assert request.what.targets[0] == Target(
        request.what.targets[0].uid, "a", "http://10.0.0.7:8080/metrics"
    )


def test_requests_count_from_the_first_scrape_and_the_next_is_due_an_interval_later() -> None:
    lab = Lab(LATENCY | {"intervalSeconds": 30})
    lab.look()
    lab.answer("latency", Tally())
    assert lab.look().verdict is None
    assert (lab.request("latency").number, lab.request("latency").due_in, lab.wake) == (1, 30, 30)
    lab.world.pass_time(12)
    lab.look()
    assert (lab.request("latency").due_in, lab.wake) == (18, 18)
    lab.world.pass_time(18)
    lab.look()
    lab.answer("latency", GOOD)
    found = lab.look()
    assert found.verdict is Verdict.PASS and found.verdicts[0].observed_at == lab.world.text()
    assert found.told.startswith("latency: p95 <= 100 ms OK: 0% of 1,000 requests slower")


def test_a_clock_that_was_set_back_does_not_put_a_measurement_off() -> None:
    lab = Lab(LATENCY)
    lab.look()
    lab.answer("latency", Tally())
    lab.world.pass_time(-86_400)
    lab.look()
    assert lab.request("latency").due_in == 10


def test_a_settled_gate_keeps_its_series_and_asks_for_nothing() -> None:
    lab = Lab(LATENCY, ERRORS)
    lab.look()
    lab.answer("latency", Tally())
    lab.answer("errors", Tally())
    lab.world.pass_time(10)
    lab.look()
    lab.answer("latency", GOOD)
    found = lab.look()
    assert found.verdict is None and [v.name for v in found.verdicts] == ["latency"]
    assert lab.request("latency").due_in == math.inf and lab.wake is not None
    lab.answer("errors", GOOD)
    assert lab.look().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("latency", "errors", "verdict"),
    [
        (GOOD, GOOD, Verdict.PASS),
        (SLOW, GOOD, Verdict.FAIL),
        (GOOD, FAILING, Verdict.FAIL),
        (SLOW, FAILING, Verdict.FAIL),
    ],
)
def test_gates_are_judged_side_by_side(latency: Tally, errors: Tally, verdict: Verdict) -> None:
    lab = Lab(LATENCY, ERRORS)
    lab.look()
    for name in lab.names:
        lab.answer(name, Tally())
    lab.world.pass_time(10)
    lab.look()
    lab.answer("latency", latency)
    lab.answer("errors", errors)
    assert lab.look().verdict is verdict


def test_one_failure_ends_the_analysis_before_the_others_have_decided() -> None:
    found = Lab(LATENCY, ERRORS).play("latency", Tally(), SLOW)
    assert found.verdict is Verdict.FAIL and found.told.startswith("latency: p95 <= 100 ms FAIL")


def test_a_gate_that_does_not_decide_hides_no_failure_of_another() -> None:
    lab = Lab(LATENCY | {"inconclusiveLimit": 0}, ERRORS)
    assert lab.play("latency", Tally(), tally_of({}, {}, 1)).verdict is None
    found = lab.play("errors", Tally(), FAILING)
    assert found.verdict is Verdict.FAIL and found.told.startswith("errors:")


@pytest.mark.parametrize(
    ("how", "verdict"), [("Pause", Verdict.INCONCLUSIVE), ("Fail", Verdict.FAIL)]
)
def test_too_little_traffic_is_waited_for_and_then_a_person(how: str, verdict: Verdict) -> None:
    lab = Lab(LATENCY | {"onInconclusive": how})
    few = tally_of({"200": 3}, {0.1: 3}, 3)
    found = lab.play("latency", Tally(), few, few, few)
    assert found.verdict is None
    assert lab.play("latency", few).verdict is verdict


@pytest.mark.parametrize(
    ("how", "verdict"), [("Pause", Verdict.INCONCLUSIVE), ("Fail", Verdict.FAIL)]
)
def test_what_cannot_be_measured_is_told_in_the_same_words_and_never_passes(
    how: str, verdict: Verdict
) -> None:
    lab = Lab(LATENCY | {"onInconclusive": how})
    lost = Unmeasured("pod x at http://10.0.0.7:8080/metrics answered 503")
    assert lab.play("latency", lost).told == ""
    words = {lab.play("latency", lost).told for _ in range(3)}
    assert words == {f"latency: {lost.message}"}
    found = lab.play("latency", lost)
    assert found.verdict is verdict
    assert "not measured 5 times in a row, 4 allowed (`errorLimit`)" in found.told


def test_a_lost_first_scrape_is_no_zero_to_count_from() -> None:
    lab = Lab(ERRORS)
    found = lab.play("errors", Unmeasured("lost"), Tally(), GOOD)
    assert found.verdict is Verdict.PASS and found.verdicts[0].samples == 1000


def test_a_dry_run_is_waited_for_and_never_counts() -> None:
    lab = Lab(LATENCY | {"dryRun": True}, ERRORS)
    assert lab.play("errors", Tally(), GOOD).verdict is None
    found = lab.play("latency", Tally(), SLOW)
    assert found.verdict is Verdict.PASS and "FAIL" in found.told and "dry run" in found.told


def test_other_bounds_and_a_step_that_begins_anew_are_other_series() -> None:
    lab = Lab(ERRORS)
    lab.look()
    first = lab.request("errors").series
    lab.world.change_model("rollout.gates", [worlds.GATE, ERRORS | {"maxRatio": "0.02"}])
    lab.look()
    bounds = lab.request("errors").series
    record = lab.world.record(2)
    step = record["step"] | {"startedAt": "2026-01-31T15:00:00Z"}
    lab.world.set_status("EmbeddingRelease", "glyphs-r2", {"step": step})
    lab.look()
    assert len({first, bounds, lab.request("errors").series}) == 3


def test_a_query_is_asked_about_this_candidate_when_it_had_traffic_for_an_interval() -> None:
    lab = Lab(LOAD)
    lab.look()
    request = lab.request("load")
    assert 0 < request.due_in <= 10
    words = 'x{ns="shop",m="glyphs",r="glyphs-r2",s="glyphs-r1"}'
    assert request.what == Query("http://prometheus:9090", words)
    assert lab.play("load", Answer(())).verdict is None
    assert lab.play("load", Answer((0.4,))).verdict is Verdict.PASS


def test_a_gate_that_is_not_there_waits_for_a_person() -> None:
    lab = Lab(LATENCY)
    lab.names = ["latency", "lost"]
    found = lab.play("latency", Tally(), GOOD)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.told == "lost: no live gate lost in `spec.rollout.gates`"


# -- replays


def replay_result(lab: Lab, job: str, mean: float = 0.97, n: int = 900) -> str:
    config = lab.world.config(job)
    facts = {
        "index": config["index"],
        "buildDigest": config["buildDigest"],
        "spaceID": config["spaceID"],
        "datasetDigest": f"sha256:{'d' * 64}",
        "k": config["k"],
        "sent": 1000,
        "recall": {"n": n, "mean": mean, "standardDeviation": 0.17},
        "seconds": 3.0,
    }
    report = {"schema": "lockstep.dev/result/v1", "program": "Replay", "exitCode": 0}
    return json.dumps(report | {"reason": "Succeeded", "replay": facts})


class Replays(Lab):
    def start(self) -> str:
        """The Job of the next replay, made by whole passes of the operator."""
        self.world.settle()
        (job,) = (name for name in self.world.jobs() if "-replay-" in name)
        return str(job)

    def end(self, job: str, *, mean: float = 0.0, failure: str = "") -> Analysis:
        """The Job ended with a measurement, or failed for this reason."""
        message = replay_result(self, job, mean)
        if failure:
            report = json.loads(message) | {"exitCode": 70, "reason": failure, "message": "why"}
            message = json.dumps(report | {"replay": None})
        self.world.end_job(job, code=70 if failure else 0, message=message)
        self.world.pass_time(20)
        return self.look()


def test_a_replay_is_a_job_that_asks_the_candidates_own_service_for_its_own_build() -> None:
    lab = Replays(RECALL)
    job = lab.start()
    assert job == "glyphs-r2-replay-live-1"
    config, build = lab.world.config(job), lab.world.record(2)["builds"][0]
    assert config["url"] == "http://glyphs-r2-encoder.shop.svc:8080"
    assert config["buildDigest"] == build["buildDigest"] and config["index"] == "glyphs"
    assert config["source"]["digest"] == build["sourceDigest"]
    assert config["data"]["digest"] == lab.world.record(2)["evaluation"]["datasetDigest"]
    # While it runs nothing is made and nothing is said.
    assert lab.look() == Analysis(None, [], "") and lab.created == []
    found = lab.end(job, mean=0.97)
    assert found.verdict is Verdict.PASS
    assert found.told == (
        "live: live recall@1 of glyphs 0.970 >= 0.900 OK (95% lower 0.959); n=900"
    )


def test_a_replay_that_fails_the_bound_or_decides_nothing() -> None:
    lab = Replays(RECALL)
    assert lab.end(lab.start(), mean=0.8).verdict is Verdict.FAIL
    lab = Replays(RECALL | {"inconclusiveLimit": 0})
    found = lab.end(lab.start(), mean=0.905)
    assert found.verdict is Verdict.INCONCLUSIVE and "(`maxSamples`)" in found.told


def test_replays_that_cannot_be_made_are_errors_and_then_a_person() -> None:
    lab = Replays(RECALL | {"errorLimit": 1})
    job = lab.start()
    found = lab.end(job, failure="ReleaseUnavailable")
    assert found.verdict is None and lab.created[0]["metadata"]["name"] == "glyphs-r2-replay-live-2"
    found = lab.end(lab.start(), failure="PairMismatch")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "Job glyphs-r2-replay-live-2 did not measure: PairMismatch: why" in found.told
    assert lab.world.stage(2) == "Canary"


def test_a_replay_of_an_earlier_analysis_does_not_count_and_goes_first() -> None:
    lab = Replays(RECALL)
    old = lab.start()
    step = lab.world.record(2)["step"] | {"startedAt": "2026-01-31T15:00:00Z"}
    lab.world.set_status("EmbeddingRelease", "glyphs-r2", {"step": step})
    context = lab.context()
    assert lab.analysed(context).verdict is None
    assert [reference.name for reference in context.delete] == [old] and not context.create
    lab.world.end_job(old, message=replay_result(lab, old))
    assert lab.start() == "glyphs-r2-replay-live-2"


def test_the_operator_forgets_no_replay_when_it_restarts() -> None:
    lab = Replays(RECALL | {"count": 5})
    for _ in range(4):
        assert lab.end(lab.start(), mean=0.97).verdict is None
    lab.world.restart()
    # Old Jobs are evidence that is swept; those of the analysis under way are measurements.
    lab.world.settle()
    assert len(lab.world.jobs(live_only=False)) >= 4 + 1
    assert lab.end(lab.start(), mean=0.97).verdict is Verdict.PASS


def test_a_replay_needs_an_index_that_it_can_name() -> None:
    found = Replays(RECALL | {"index": "other"}).look()
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.told == (
        "live: not measured: no index other in this release; its indexes are: glyphs"
    )


def test_a_release_without_a_labelled_set_is_told_and_raises_nothing() -> None:
    lab = Replays(RECALL)
    context = lab.context()
    release = context.release("glyphs-r2")
    spec = release.spec.model_copy(update={"training": None, "evaluation": None})
    step = release.status.step
    assert step is not None
    found = analyse(context, dataclasses.replace(release, spec=spec), lab.names, step)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "imported without `spec.evaluation`" in found.told and not context.create


def test_a_replay_that_the_server_refuses_is_told_and_ends_in_time() -> None:
    lab = Replays(RECALL)
    lab.world.remove("Job", lab.start())
    refusal = worlds.Refusal("Job", "glyphs-r2-replay-live-1", "exceeded quota: pods", "Forbidden")
    lab.world.refusals = (refusal,)
    told = "the API server refused Job glyphs-r2-replay-live-1: exceeded quota: pods"
    assert lab.look() == Analysis(None, [], f"live: {told}")
    assert len(lab.created) == 1
    lab.world.pass_time(901)
    found = lab.look()
    assert found.verdict is Verdict.INCONCLUSIVE and told in found.told
