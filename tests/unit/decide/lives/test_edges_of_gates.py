"""Edge 8: what becomes of a release that gates pass, fail, or cannot decide about."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


def test_edge_8_pass_goes_on_to_indexing() -> None:
    world = World().apply_model().apply_index().run_to("Indexing", 1)
    assert world.status["gatesSummary"] == "1/1" and world.status["recall"] == "0.990"


def test_edge_8_fail_leaves_stable_alone() -> None:
    world = worlds.healthy()
    world.recall = 0.884
    world.change_model("training.seed", 7).run()
    assert world.stage(2) == "Failed" and world.says("Ready") == ("False", "GateFailed")
    assert world.says("GatesPassed") == ("False", "GateFailed")
    assert world.says("Serving") == ("True", "Serving") and world.entry() == "glyphs-r1"
    assert "recall@1 0.884 < 0.950 FAIL" in world.status["message"]
    assert not [key for key in world.objects if key[1].startswith("glyphs-r2-encoder")]


def test_edge_8_what_failed_is_shown_until_the_spec_asks_for_it_no_more() -> None:
    world = worlds.healthy()
    world.recall = 0.884
    world.change_model("training.seed", 7).run()
    assert world.says("GatesPassed") == ("False", "GateFailed")
    assert world.condition("GatesPassed")["message"].startswith("r2: relevance: recall@1 0.884")
    # The columns stand beside r1, which serves.
    assert (world.status["recall"], world.status["gatesSummary"]) == ("0.990", "1/1")
    world.change_model("training.seed", 0).run()
    assert world.status["phase"] == "Healthy" and world.says("GatesPassed")[0] == "True"
    assert (world.status["recall"], world.status["gatesSummary"]) == ("0.990", "1/1")


def test_edge_8_inconclusive_pauses_for_a_person() -> None:
    world = worlds.healthy()
    world.samples = 200
    world.change_model("training.seed", 7).run()
    assert world.stage(2) == "Evaluating" and world.status["phase"] == "Paused"
    assert world.says("Reconciling") == ("True", "GateInconclusive")
    assert "n=200 of 300 needed (`minSamples`)" in world.status["message"]
    for verb in ("promote", "retry", "abort"):
        assert f"lockstep.dev/{verb}=r2" in world.status["message"]
    world.change_model("rollout.checkArtifactsSeconds", 0).settle()
    writes = len(world.writes)
    world.pass_time(100_000).settle()
    assert len(world.writes) == writes


def test_edge_8_promote_goes_on_past_an_inconclusive_gate() -> None:
    world = worlds.healthy()
    world.samples = 200
    world.change_model("training.seed", 7).run()
    world.annotate("promote", "r2").run()
    assert world.entry() == "glyphs-r2" and world.says("GatesPassed") == ("True", "GatesWaived")
    assert world.status["lastHandled"][0]["outcome"].startswith("accepted")


def test_edge_8_retry_measures_again() -> None:
    world = worlds.healthy()
    world.samples = 200
    world.change_model("training.seed", 7).run()
    world.samples = 4623
    world.annotate("retry", "r2").settle()
    assert world.jobs() == ["glyphs-r2-evaluate-2"] and "pausedAt" not in world.record(2)
    assert world.run().entry() == "glyphs-r2"


def test_edge_8_gates_are_read_live_until_judged() -> None:
    world = worlds.healthy()
    world.samples = 200
    world.change_model("training.seed", 7).run()
    world.change_model("rollout.gates", [{**worlds.GATE, "minSamples": 100}]).run()
    assert world.entry() == "glyphs-r2"


def test_edge_8_a_gate_that_was_not_measured_is_an_error_and_waits() -> None:
    world = World().apply_model().apply_index().settle().end_jobs().settle()
    late = {**worlds.GATE, "name": "wide", "k": 5}
    world.change_model("rollout.gates", [worlds.GATE, late])
    world.end_jobs().settle()
    assert (
        world.status["phase"] == "Paused" and "recall@5 was not measured" in world.status["message"]
    )
    world.annotate("retry", "r1").run()
    assert world.stage(1) == "Serving" and world.status["gatesSummary"] == "2/2"


def test_edge_8_without_gates_a_release_passes_and_says_so() -> None:
    world = worlds.healthy(rollout={})
    assert world.status["gatesSummary"] == "0/0"
    assert world.status["gates"][0]["line"] == (
        "no gates in `spec.rollout.gates`: passed unchecked; recall@1 0.990 (n=4623)"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evaluation": None}, "InvalidResult"),
        ({"program": "Train"}, "InvalidResult"),
        ("other artifact", "ResultMismatch"),
    ],
)
def test_edge_8_a_measurement_of_something_else_is_refused(changes: Any, reason: str) -> None:
    import json

    world = World().apply_model().apply_index().run_to("Evaluating", 1)
    job = "glyphs-r1-evaluate-1"
    report = json.loads(world.result(job))
    if changes == "other artifact":
        report["evaluation"]["artifactDigest"] = f"sha256:{'0' * 64}"
    else:
        report |= changes
    world.end_job(job, message=json.dumps(report))
    world.settle()
    assert world.stage(1) == "Failed" and world.says("Ready") == ("False", reason)
