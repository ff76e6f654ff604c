"""Replays: Jobs of the release that measure recall on the candidate's own service."""

from __future__ import annotations

import dataclasses
import json

import pytest

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.decide.gates.analysis import Analysis, analyse
from lockstep_operator.decide.snapshot.observed import Refusal
from tests.unit.decide import worlds
from tests.unit.decide.gates.lab import Lab

pytestmark = pytest.mark.unit

RECALL = {"name": "live", "type": "LiveRecall", "k": 1, "min": "0.9", "minSamples": 300}


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
    assert found.message == (
        "live: live recall@1 of glyphs 0.970 >= 0.900 OK (95% lower 0.959); n=900"
    )


def test_a_replay_that_fails_the_bound_or_decides_nothing() -> None:
    lab = Replays(RECALL)
    assert lab.end(lab.start(), mean=0.8).verdict is Verdict.FAIL
    lab = Replays(RECALL | {"inconclusiveLimit": 0})
    found = lab.end(lab.start(), mean=0.905)
    assert found.verdict is Verdict.INCONCLUSIVE and "(`maxSamples`)" in found.message


def test_replays_that_cannot_be_made_are_errors_and_then_a_person() -> None:
    lab = Replays(RECALL | {"errorLimit": 1})
    job = lab.start()
    found = lab.end(job, failure="ReleaseUnavailable")
    assert found.verdict is None and lab.created[0]["metadata"]["name"] == "glyphs-r2-replay-live-2"
    found = lab.end(lab.start(), failure="PairMismatch")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "Job glyphs-r2-replay-live-2 did not measure: PairMismatch: why" in found.message
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
    lab = Replays(RECALL)
    # While the candidate is on its way: a release of such a spec would not be made.
    lab.world.change_model("rollout.gates", [worlds.GATE, RECALL | {"index": "other"}])
    found = lab.look()
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.message == (
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
    assert "imported without `spec.evaluation`" in found.message and not context.create


def test_a_replay_that_the_server_refuses_is_told_and_ends_in_time() -> None:
    lab = Replays(RECALL)
    lab.world.remove("Job", lab.start())
    refusal = Refusal("Job", "glyphs-r2-replay-live-1", "exceeded quota: pods", "Forbidden")
    lab.world.refusals = (refusal,)
    told = "the API server refused Job glyphs-r2-replay-live-1: exceeded quota: pods"
    assert lab.look() == Analysis(None, [], f"live: {told}")
    assert len(lab.created) == 1
    lab.world.pass_time(901)
    found = lab.look()
    assert found.verdict is Verdict.INCONCLUSIVE and told in found.message
