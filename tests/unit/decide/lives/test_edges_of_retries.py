"""Edges 21 and 22, by number: what a person or another spec does after a failure."""

from __future__ import annotations

import pytest

from tests.unit.decide import worlds

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("stage", ["Training", "Evaluating", "Indexing", "Warming"])
def test_edge_21_retry_enters_the_failed_stage_again_and_reuses_artifacts(stage: str) -> None:
    world = worlds.second(stage)
    if stage == "Warming":
        world.pass_time(901).settle()
    else:
        world.end_job(world.jobs()[0], code=2)
    world.settle()
    assert world.stage(2) == "Failed" and "lockstep.dev/retry=r2" in world.status["message"]
    facts = {key: world.record(2).get(key) for key in ("training", "evaluation", "builds")}
    world.annotate("retry", "r2").settle()
    assert world.stage(2) == stage and world.record(2).get("outcome") is None
    for key, value in facts.items():
        assert value is None or world.record(2)[key] == value
    assert world.run().entry() == "glyphs-r2"


def test_edge_21_the_second_retry_has_a_token_of_its_own() -> None:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=2)
    world.settle().annotate("retry", "r2").settle()
    world.end_job("glyphs-r2-train-2", code=2)
    world.settle()
    assert world.stage(2) == "Failed", "the same annotation is not acted on twice"
    assert world.status["message"].endswith("--overwrite lockstep.dev/retry=r2.2")
    world.annotate("retry", "r2.2").run()
    assert world.entry() == "glyphs-r2"


def test_edge_21_a_failed_gate_is_judged_again_by_the_live_bounds() -> None:
    world = worlds.healthy()
    world.recall = 0.93
    world.change_model("training.seed", 7).run()
    world.annotate("retry", "r2").run()
    assert world.stage(2) == "Failed", "the same bound, the same verdict"
    world.change_model("rollout.gates", [{**worlds.GATE, "min": "0.90"}])
    world.annotate("retry", "r2.2").run()
    assert world.entry() == "glyphs-r2" and "glyphs-r2-evaluate-3" not in world.jobs()
    # A gate that asks for what was not measured is measured.
    world.recall = 0.80
    world.change_model("training.seed", 8).run()
    world.recall = 0.99
    gate = {**worlds.GATE, "name": "wide", "k": 10}
    world.change_model("rollout.gates", [gate]).annotate("retry", "r3").run()
    assert world.entry() == "glyphs-r3"


@pytest.mark.parametrize(
    ("value", "told"),
    [("r1", "only what failed or was aborted"), ("r2", "not the newest"), ("r3", "is Training")],
)
def test_edge_21_retry_of_what_did_not_fail_is_refused(value: str, told: str) -> None:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=2)
    world.settle().change_model("training.seed", 8).settle()
    world.annotate("retry", value).settle()
    assert told in world.handled("retry") and world.stage(3) == "Training"


def test_edge_22_a_new_spec_trains_at_once_after_a_failure() -> None:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=2)
    world.change_model("rollout.checkArtifactsSeconds", 0).settle()
    writes = len(world.writes)
    assert len(world.pass_time(10**6).settle().writes) == writes, "a failure never loops"
    world.change_model("training.seed", 8).settle()
    assert world.stage(3) == "Training" and world.status["phase"] == "Progressing"
    assert world.run().entry() == "glyphs-r3" and world.stage(2) == "Failed"


def test_edge_22_a_failed_model_is_not_trained_again_for_an_index() -> None:
    world = worlds.healthy()
    world.recall = 0.8
    world.change_model("training.seed", 7).run()
    world.change_index("index", {"type": "Flat"}).run()
    assert not world.has_release(3) and "the model of r2 failed" in world.status["message"]
    assert world.index_status()["phase"] == "Pending"
    # The way back to r1's space is open: its model is reused.
    world.change_model("training.seed", 0).run()
    assert world.entry() == "glyphs-r3"
    assert world.release(3)["spec"]["reuse"]["release"] == "glyphs-r1"


def test_edge_22_an_index_that_failed_is_left_out_when_it_is_deleted() -> None:
    world = worlds.healthy().apply_index("second").run_to("Indexing", 2)
    world.end_job("glyphs-r2-build-second-1", code=3)
    world.end_job("glyphs-r2-build-glyphs-1")
    world.settle()
    assert world.stage(2) == "Failed" and world.index_status("second")["phase"] == "Degraded"
    world.remove("VectorIndex", "second")
    world.run()
    assert not world.has_release(3) and world.status["phase"] == "Healthy"


def test_a_retry_waits_for_a_release_that_returns() -> None:
    world = worlds.two().change_model("training.seed", 8).run_to("Training", 3)
    world.end_job("glyphs-r3-train-1", code=2)
    world.settle().annotate("pause", "r1").annotate("rollback", "r1").settle()
    world.annotate("retry", "r3").settle()
    assert world.handled("retry") == "refused: r1 is on its way: wait, or abort it"
