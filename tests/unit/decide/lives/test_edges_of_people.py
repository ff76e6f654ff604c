"""Edges that people cause: pauses, verbs, reverts, third specs, deletions, restarts; by number."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


# -- edge 12: pauses


@pytest.mark.parametrize("how", ["annotation", "full name", "spec"])
def test_edge_12_a_pause_holds_before_the_next_stage_and_jobs_go_on(how: str) -> None:
    world = worlds.second("Training")
    if how == "spec":
        world.change_model("rollout.paused", True)
    else:
        world.annotate("pause", "r2" if how == "annotation" else "glyphs-r2")
    world.settle()
    assert world.status["phase"] == "Paused" and world.says("Serving") == ("True", "Serving")
    world.end_jobs().run()
    assert world.stage(2) == "Training" and world.record(2)["training"], "facts are recorded"
    assert world.entry() == "glyphs-r1"
    command = "rollout" if how == "spec" else "lockstep.dev/pause-"
    assert command in world.status["message"]
    if how == "spec":
        world.change_model("rollout.paused", False)
    else:
        world.annotate("pause", None)
    assert world.run().entry() == "glyphs-r2"
    assert world.reasons().count("Paused") == world.reasons().count("Resumed") == 1


def test_edge_12_the_deadline_clock_stands_still_while_paused() -> None:
    world = worlds.second("Warming")
    world.pass_time(600).annotate("pause", "r2").settle()
    assert world.look_again_after != 300
    world.pass_time(5000).settle()
    assert world.stage(2) == "Warming"
    world.annotate("pause", None).settle()
    assert world.record(2)["pausedSeconds"] == 5000 and world.look_again_after == 300
    world.pass_time(299).settle()
    assert world.stage(2) == "Warming"
    assert world.pass_time(2).settle().stage(2) == "Failed"


def test_edge_12_the_entry_never_moves_while_paused() -> None:
    world = worlds.second("Warming").annotate("pause", "r2").run()
    assert world.stage(2) == "Warming" and world.entry() == "glyphs-r1"
    world = worlds.promoting().annotate("pause", "r2").run()
    assert world.stage(2) == "Promoting" and world.entry() == "glyphs-r1"
    assert world.status["phase"] == "Paused"
    assert world.annotate("pause", None).run().entry() == "glyphs-r2"


def test_edge_12_a_paused_model_starts_no_release() -> None:
    world = worlds.healthy(rollout={"paused": True, "gates": []})
    assert not world.has_release(1) and world.status["phase"] == "Paused"
    world.change_model("rollout.paused", False).run()
    assert world.stage(1) == "Serving"
    world.change_model("rollout.paused", True).change_model("training.seed", 7).run()
    assert not world.has_release(2) and "Start: kubectl patch" in world.status["message"]


def test_edge_12_a_pause_for_another_release_holds_nothing() -> None:
    world = worlds.second("Training").annotate("pause", "r3").run()
    assert world.entry() == "glyphs-r2"


def test_edge_12_two_pauses_offer_both_commands_and_a_gate_may_wait_inside() -> None:
    world = (
        worlds.second("Training")
        .annotate("pause", "r2")
        .change_model("rollout.paused", True)
        .settle()
    )
    assert "lockstep.dev/pause- && kubectl patch" in world.status["message"]
    world.samples = 200
    world.annotate("pause", None).change_model("rollout.paused", False).run()
    assert world.record(2)["pauseReason"] == "GateInconclusive"
    since = world.record(2)["pausedAt"]
    world.pass_time(60).annotate("pause", "r2").settle()
    assert world.record(2)["pausedAt"] == since


# -- edges 15, 17, 18, 18b: abort


@pytest.mark.parametrize("stage", ["Training", "Evaluating", "Indexing", "Warming"])
def test_edge_15_abort_before_the_switch(stage: str) -> None:
    world = worlds.second(stage).annotate("abort", "r2").run()
    assert world.stage(2) == "Superseded" and world.record(2)["outcome"] == "Aborted"
    assert world.entry() == "glyphs-r1" and world.says("Serving") == ("True", "Serving")
    left = [key for key in world.objects if "glyphs-r2" in key[1] and key[0] != "EmbeddingRelease"]
    assert left == [], "its Jobs and pods are deleted"
    assert world.handled("abort") == "accepted: r2 is aborted"
    assert world.says("Stalled") == ("True", "Aborted") and not world.has_release(3)
    assert world.reasons().count("Aborted") == 2, "one for the verb, one for the release"
    # It stays so, until someone asks for it again.
    assert world.annotate("retry", "r2").run().entry() == "glyphs-r2"


@pytest.mark.parametrize("value", ["r1", "r9", "r2x", "other-r2", "glyphs"])
def test_edge_15_an_abort_of_something_else_is_ignored_and_recorded(value: str) -> None:
    world = worlds.second("Training").annotate("abort", value).settle()
    assert world.stage(2) == "Training" and world.handled("abort").startswith("refused: ")
    assert "VerbRefused" in world.reasons()
    writes = len(world.writes)
    assert len(world.settle().writes) == writes
    assert world.annotate("abort", "glyphs-r2").run().record(2)["outcome"] == "Aborted"


def test_edge_15_abort_while_promoting_brings_the_entry_back_first() -> None:
    world = worlds.promoting()
    world.step()
    assert world.entry() == "glyphs-r2"
    world.annotate("abort", "r2").step()
    assert world.stage(2) == "RollingBack" and world.entry() == "glyphs-r1"
    assert ("Deployment", "glyphs-r2-encoder") in world.objects, (
        "still whole for what is on its way"
    )
    world.run().pass_time(31).run()
    assert world.record(2)["outcome"] == "Aborted" and world.stage(1) == "Serving"


def test_edge_15_the_first_release_cannot_be_aborted_once_it_moves() -> None:
    world = World().apply_model().apply_index().run_to("Warming", 1).ready_all()
    world.step()
    assert world.stage(1) == "Promoting"
    world.annotate("abort", "r1").settle()
    assert "nothing else can serve" in world.handled("abort") and world.stage(1) == "Serving"


def test_edge_17_a_pair_that_breaks_before_the_switch_does_not_get_the_entry() -> None:
    world = worlds.promoting()
    world.ready("Deployment", "glyphs-r2-glyphs", ready=0)
    world.settle()
    assert world.stage(2) == "Warming" and world.entry() == "glyphs-r1"
    assert world.pass_time(901).settle().stage(2) == "Failed"
    assert world.status["phase"] == "Degraded" and world.says("Serving") == ("True", "Serving")
    assert world.entry() == "glyphs-r1"


def test_edge_17_after_the_switch_traffic_stays_and_the_model_is_degraded() -> None:
    world = worlds.two()
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    world.settle()
    assert world.entry() == "glyphs-r2" and world.status["phase"] == "Degraded"
    assert world.says("Serving") == ("False", "PodsNotReady")
    assert world.says("Paired") == ("False", "PodsNotReady")
    assert "Go back to r1: kubectl annotate" in world.status["message"]
    assert world.run().status["phase"] == "Healthy"


def test_edge_18b_a_late_abort_is_a_rollback() -> None:
    world = worlds.two().annotate("abort", "r2").run()
    assert world.entry() == "glyphs-r1" and world.record(2)["outcome"] == "RolledBack"
    world = worlds.healthy().annotate("abort", "r1").settle()
    assert "no earlier release is kept" in world.handled("abort")


# -- edges 18, 19: what a switch leaves behind


def test_edge_18_the_replaced_release_is_kept_whole_inside_the_window_then_a_record() -> None:
    world = worlds.two()
    assert world.stage(1) == "Retained" and len(world.workloads()) == 4
    assert world.look_again_after == 86400
    world.remove("Deployment", "glyphs-r1-encoder")
    world.run()
    assert len(world.workloads()) == 4, "kept whole"
    world.pass_time(86401).settle()
    assert world.stage(1) == "Retired" and len(world.workloads()) == 2
    assert not [key for key in world.objects if key[0] == "Job" and "r1" in key[1]]
    assert world.record(1)["training"] and world.has_release(1), "the record stays"


def test_edge_18_the_window_counts_releases_and_lets_requests_drain() -> None:
    world = worlds.two().change_model("training.seed", 8).run()
    assert world.stage(2) == "Retained" and world.stage(1) == "Retained", "draining"
    world.pass_time(31).settle()
    assert (world.stage(1), world.stage(2), world.stage(3)) == ("Retired", "Retained", "Serving")


def test_edge_18_old_records_go_and_the_newest_stays() -> None:
    world = worlds.healthy(revisionHistoryLimit=2)
    for seed in range(1, 7):
        world.change_model("training.seed", seed).run().pass_time(100).run()
    kept = [number for number in range(1, 8) if world.has_release(number)]
    assert kept == [4, 5, 6, 7]
    world.change_model("training.seed", 100).settle()
    world.end_job("glyphs-r8-train-1", code=3)
    world.settle()
    assert world.has_release(8) and world.stage(8) == "Failed"
    assert [entry["release"] for entry in world.status["history"]][:2] == ["glyphs-r8", "glyphs-r7"]


def test_edge_19_stable_takes_the_traffic_back_only_when_it_can() -> None:
    world = worlds.promoting()
    world.step()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    world.annotate("abort", "r2").settle()
    assert world.stage(2) == "RollingBack" and world.entry() == "glyphs-r2"
    told = world.status["message"]
    assert "r2 keeps its traffic, as r1 lacks pods to take it" in told
    assert "r2 serves all requests." in told and "settle for r2: kubectl annotate" in told
    world.run()
    assert world.entry() == "glyphs-r1" and world.stage(2) == "RollingBack"
    world.pass_time(31).run()
    assert world.stage(2) == "Superseded"


# -- edges 21, 22: after a failure


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
    world.settle()
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


# -- edge 23: back to what is there


@pytest.mark.parametrize("stage", ["Training", "Evaluating", "Indexing", "Warming"])
def test_edge_23_a_revert_to_stable_gives_the_candidate_up(stage: str) -> None:
    world = worlds.second(stage).change_model("training.seed", 0).run()
    assert world.stage(2) == "Superseded" and world.record(2)["outcome"] == "RolledBack"
    assert world.status["history"][0]["reason"] == "Reverted"
    assert world.status["phase"] == "Healthy" and not world.has_release(3)
    assert world.jobs() == [] and len(world.workloads()) == 2
    # A revert of the revert is a new wish; a model that had passed is not trained again.
    world.change_model("training.seed", 7).settle()
    assert world.stage(3) == ("Indexing" if stage in ("Indexing", "Warming") else "Training")
    assert world.run().entry() == "glyphs-r3"


def test_edge_23_a_revert_to_a_kept_release_returns_it_without_a_new_one_and_forth() -> None:
    world = worlds.two().change_model("training.seed", 0).run()
    assert world.entry() == "glyphs-r1" and not world.has_release(3)
    assert world.record(2)["outcome"] == "Reverted" and world.status["phase"] == "Healthy"
    world.change_model("training.seed", 7).run()
    assert world.entry() == "glyphs-r2" and not world.has_release(3)
    assert world.record(1)["outcome"] == "Promoted" and world.stage(1) == "Retained"


def test_edge_23_a_revert_to_a_kept_release_gives_a_candidate_up() -> None:
    world = worlds.two().change_model("training.seed", 8).run_to("Training", 3)
    world.change_model("training.seed", 0).run()
    assert world.entry() == "glyphs-r1" and world.stage(3) == "Superseded"


def test_edge_23_a_kept_release_returns_when_it_is_whole_again() -> None:
    world = worlds.two()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    world.change_model("training.seed", 0).settle()
    assert world.entry() == "glyphs-r2" and "r1 is what the spec asks" in world.status["message"]
    assert world.run().entry() == "glyphs-r1"


def test_edge_23_a_revert_to_a_retired_release_reuses_its_model() -> None:
    world = worlds.two().pass_time(86401).run().change_model("training.seed", 0).settle()
    assert world.stage(3) == "Indexing" and world.release(3)["spec"]["cause"] == "ModelChanged"
    assert world.run().entry() == "glyphs-r3"


# -- edge 24: a third spec


@pytest.mark.parametrize("stage", ["Training", "Evaluating", "Indexing", "Warming"])
def test_edge_24_a_third_spec_supersedes_the_candidate(stage: str) -> None:
    world = worlds.second(stage).change_model("training.seed", 8).settle()
    assert world.stage(2) == "Superseded" and world.record(2)["outcome"] == "Superseded"
    assert world.stage(3) == "Training" and world.jobs() == ["glyphs-r3-train-1"]
    assert world.run().entry() == "glyphs-r3"
    assert [e["outcome"] for e in world.status["history"]] == ["Promoted", "Superseded", "Promoted"]


def test_edge_24_while_the_entry_moves_a_third_spec_waits() -> None:
    world = worlds.promoting().change_model("training.seed", 8)
    world.step()
    assert world.stage(2) == "Promoting" and not world.has_release(3)
    world.run()
    assert (world.stage(2), world.entry()) == ("Retained", "glyphs-r3")
    assert world.record(1)["outcome"] == "Promoted", "r1 was replaced, not rolled back"


def test_edge_24_back_to_the_superseded_spec_before_the_third_was_made() -> None:
    world = worlds.second("Training").change_model("training.seed", 8)
    world.step()
    assert world.stage(2) == "Superseded" and not world.has_release(3)
    world.change_model("training.seed", 7).settle()
    assert world.stage(3) == "Training"
    assert world.release(3)["spec"]["spaceHash"] == world.release(2)["spec"]["spaceHash"]


def test_edge_24_a_release_of_which_nothing_was_recorded_can_be_superseded() -> None:
    world = worlds.healthy().change_model("training.seed", 7)
    world.step()
    assert world.has_release(2) and world.stage(2) is None
    assert world.change_model("training.seed", 8).run().entry() == "glyphs-r3"


# -- edge 25: rollback


@pytest.mark.parametrize("value", ["r1", "glyphs-r1"])
def test_edge_25_rollback_inside_the_window_is_one_switch(value: str) -> None:
    world = worlds.two().annotate("rollback", value).run()
    assert world.entry() == "glyphs-r1" and world.stage(2) == "Retained"
    assert world.record(2)["outcome"] == "RolledBack" and not world.has_release(3)
    assert world.status["phase"] == "Degraded" and world.says("Ready") == ("False", "RolledBack")
    assert world.says("Serving") == ("True", "Serving")
    assert "lockstep.dev/rollback=r2" in world.status["message"]
    assert world.pass_time(100).run().entry() == "glyphs-r1", "it does not return by itself"
    assert world.annotate("rollback", "r2").run().entry() == "glyphs-r2"
    assert world.status["phase"] == "Healthy"
    world.annotate("rollback", "r1.2").run().change_model("training.seed", 0).run()
    assert world.status["phase"] == "Healthy" and world.entry() == "glyphs-r1"


def test_edge_25_a_spec_that_is_a_rolled_back_release_does_not_fight_the_person() -> None:
    world = worlds.healthy(rollout={"gates": [], "rollbackWindow": {"releases": 3}})
    world.change_model("training.seed", 7).run().change_model("training.seed", 8).run()
    world.change_model("training.seed", 7).run()
    assert world.entry() == "glyphs-r2"
    world.annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r1" and world.record(2)["outcome"] == "RolledBack"
    assert not world.has_release(4)
    assert world.says("Ready") == ("False", "RolledBack")
    world.annotate("rollback", "r3").run()
    assert world.entry() == "glyphs-r3" and world.record(1)["outcome"] == "Promoted"


def test_edge_25_rollback_gives_a_candidate_up() -> None:
    world = worlds.two().change_model("training.seed", 8).run_to("Indexing", 3)
    world.annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r1" and world.record(3)["outcome"] == "Aborted"
    world = worlds.second("Training").annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r1" and world.record(2)["outcome"] == "Aborted"
    assert world.handled("rollback") == "accepted: r1 serves already, r2 is aborted"


def test_edge_25_rollback_while_a_candidate_is_promoted_brings_the_entry_back_first() -> None:
    world = worlds.promoting()
    world.step()
    assert world.entry() == "glyphs-r2"
    world.annotate("rollback", "r1").step()
    assert world.stage(2) == "RollingBack"
    world.run()
    assert world.entry() == "glyphs-r1" and world.stage(2) == "RollingBack"
    world.pass_time(31).run()
    assert world.stage(2) == "Superseded"


def test_edge_25_rollback_outside_the_window_says_what_to_do() -> None:
    world = worlds.two().pass_time(86401).run().annotate("rollback", "r1").settle()
    assert world.entry() == "glyphs-r2"
    assert world.handled("rollback") == (
        "refused: r1 is Retired and not kept whole: apply its spec again, its model is reused"
        " where it passed its gates"
    )
    world = worlds.two()
    world.ready("Deployment", "glyphs-r1-glyphs", ready=0)
    world.annotate("rollback", "r1").settle()
    assert "not whole now: Deployment glyphs-r1-glyphs has 0 of 1" in world.handled("rollback")


def test_edge_25_a_rollback_is_not_held_by_a_paused_spec_and_by_its_own_pause_it_is() -> None:
    world = worlds.two().change_model("rollout.paused", True).annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r1"
    world = worlds.two().annotate("pause", "r1").annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r2" and world.stage(1) == "Promoting"
    world.annotate("abort", "r1").run()
    assert world.stage(1) == "Retained" and world.entry() == "glyphs-r2"


def test_edge_25_a_kept_release_that_breaks_on_its_way_back_stays_kept() -> None:
    world = worlds.two().annotate("pause", "r1").annotate("rollback", "r1").run()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    world.settle()
    assert world.stage(1) == "Retained" and world.entry() == "glyphs-r2"
    world = worlds.two().annotate("pause", "r1").annotate("rollback", "r1").run()
    world.annotate("rollback", "r2").run()
    assert world.stage(1) == "Retained" and world.entry() == "glyphs-r2"
    assert world.handled("rollback") == "accepted: r2 serves already, r1 is aborted"
    world.annotate("pause", None).annotate("rollback", "r1.2").run()
    assert world.entry() == "glyphs-r1"


def test_edge_25_the_one_that_serves_serves_already() -> None:
    world = worlds.healthy().annotate("rollback", "r1").run()
    assert world.handled("rollback") == "accepted: r1 serves already"


# -- edges 14 and 16, as far as they apply without weights


def test_edge_14_promote_of_what_does_not_wait_is_refused() -> None:
    world = worlds.second("Training").annotate("promote", "r2").settle()
    assert world.handled("promote") == "refused: r2 is Training and does not wait at a gate"


def test_edge_16_the_swap_is_recorded_before_the_entry_moves_and_read_back_after() -> None:
    world = worlds.second("Warming").ready_all()
    plan = world.step()
    kinds = [(write.of.name, write.status["stage"]) for write in plan.records]
    assert kinds == [("glyphs-r2", "Promoting")] and plan.apply[-1]["metadata"]["name"] == "glyphs"
    plan = world.step()
    kinds = [(write.of.name, write.status["stage"]) for write in plan.records]
    assert kinds == [("glyphs-r2", "Finalizing"), ("glyphs-r1", "Retained")] and not plan.apply
    assert world.status["stable"]["release"] == "glyphs-r2"
    plan = world.step()
    assert [w.status["stage"] for w in plan.records] == ["Serving"]


# -- edges 27, 28, 29


@pytest.mark.parametrize("stage", ["Training", "Evaluating", "Indexing", "Warming"])
def test_edge_27_a_restart_is_no_transition(stage: str) -> None:
    world = worlds.second(stage)
    world.restart()
    assert worlds.is_empty(world.decide())


def test_edge_28_children_deleted_by_hand_come_back() -> None:
    world = worlds.two()
    for key in [k for k in world.objects if k[0] in ("Deployment", "Service")]:
        before = worlds.served_space(world.objects[key]) if key[0] == "Deployment" else None
        world.remove(*key)
        world.settle()
        assert key in world.objects and world.entry() == "glyphs-r2"
        assert before is None or worlds.served_space(world.objects[key]) == before
        world.run()
    world = worlds.second("Training")
    world.remove("Job", "glyphs-r2-train-1")
    world.settle()
    assert world.jobs() == ["glyphs-r2-train-1"] and world.record(2)["attempts"]["training"] == 1
    world.end_jobs().settle()
    world.remove("Job", "glyphs-r2-train-1")
    world.settle()
    assert "glyphs-r2-train-1" not in world.jobs(live_only=False), "its facts are known"


def test_edge_28_the_entry_edited_by_hand_is_put_right() -> None:
    world = worlds.two()

    def point_at(release: str, **more: str) -> None:
        selector = {"lockstep.dev/release": release, "lockstep.dev/model": "glyphs", **more}
        world.edit("Service", "glyphs", lambda raw: raw["spec"].update(selector=selector))

    point_at("glyphs-r1")
    world.settle()
    assert world.entry() == "glyphs-r2"
    point_at("glyphs-r2", **{"lockstep.dev/component": "encoder", "app": "mine"})
    world.settle()
    assert "app" not in world.objects["Service", "glyphs"]["spec"]["selector"]


def test_edge_28_a_record_deleted_by_hand_lets_the_kept_release_take_over() -> None:
    world = worlds.two()
    world.remove("EmbeddingRelease", "glyphs-r2")
    world.settle()
    assert world.entry() == "glyphs-r1" and world.stage(1) == "Serving"
    assert world.stage(2) == "Training", "and what the spec asks is made again"
    world.run()
    assert world.entry() == "glyphs-r2"


def test_edge_29_a_model_that_is_deleted_writes_its_phase_and_nothing_else() -> None:
    world = worlds.second("Indexing")
    stamp = {"deletionTimestamp": world.text()}
    world.edit("EmbeddingModel", "glyphs", lambda raw: raw["metadata"].update(stamp))
    plan = world.step()
    assert [write.of.kind for write in plan.projections] == ["EmbeddingModel"]
    assert not (plan.records or plan.create or plan.apply or plan.delete)
    assert world.status["phase"] == "Terminating"
    assert worlds.is_empty(world.decide())
    world.remove("EmbeddingModel", "glyphs")
    world.settle()
    assert {key[0] for key in world.objects} == {"VectorIndex"}
    assert "there is no EmbeddingModel of that name" in world.index_status()["message"]


def test_nothing_at_all_is_an_empty_plan() -> None:
    assert worlds.is_empty(World().decide())


# -- names that belong to someone else


def test_a_foreign_entry_service_is_never_touched_and_fails_the_candidate() -> None:
    world = World().apply_model().apply_index().run_to("Warming", 1)
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "glyphs"}, "spec": {}}
    world.create(foreign)
    before = dict(world.objects["Service", "glyphs"])
    world.ready_all().settle()
    assert world.stage(1) == "Failed" and world.says("Ready") == ("False", "NameConflict")
    assert "Service glyphs exists and belongs to someone else" in world.status["message"]
    assert world.objects["Service", "glyphs"] == before
    world.remove("Service", "glyphs")
    assert world.annotate("retry", "r1").run().entry() == "glyphs-r1"


def test_a_foreign_entry_service_that_is_not_labelled_is_told_by_the_applier() -> None:
    world = World().apply_model().apply_index().run_to("Warming", 1).ready_all()
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "glyphs"}, "spec": {}}
    world.create(foreign, tell=False)
    world.step()
    world.heard.pop(("Service", "glyphs"))
    world.step()
    assert world.stage(1) == "Failed" and world.says("Ready") == ("False", "NameConflict")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", "glyphs-r1-encoder"),
        ("Deployment", "glyphs-r1-glyphs"),
        ("Job", "glyphs-r1-evaluate-1"),
    ],
)
def test_a_foreign_child_fails_the_candidate_and_is_not_touched(kind: str, name: str) -> None:
    world = World().apply_model().apply_index().settle()
    api = "batch/v1" if kind == "Job" else "apps/v1"
    world.create({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": {}})
    before = dict(world.objects[kind, name])
    for _ in range(3):
        for job in world.jobs():
            if job != name:
                world.end_job(job)
        world.settle()
    assert world.stage(1) == "Failed" and world.says("Ready") == ("False", "NameConflict")
    assert world.objects[kind, name] == before


def test_a_foreign_child_of_what_serves_is_told_and_stays() -> None:
    world = worlds.healthy()
    world.edit("Service", "glyphs", lambda raw: raw["metadata"].update(ownerReferences=[]))
    world.settle()
    assert world.says("Serving") == ("False", "NameConflict")
    assert world.says("Stalled") == ("True", "NameConflict")


def test_refusals_are_told_and_tried_again() -> None:
    from lockstep_operator.decide.snapshot.observed import Refusal

    world = worlds.healthy()
    refused = "admission webhook denied the request"
    world.refusals = (Refusal("Deployment", "glyphs-r1-encoder", refused),)
    (write,) = [w for w in world.decide().projections if w.of.kind == "EmbeddingModel"]
    assert refused in write.status["message"] and write.status["phase"] == "Degraded"

    world.refusals = (Refusal("EmbeddingRelease", "glyphs-r2", refused),)
    world.change_model("training.seed", 7)
    world.refusals = (Refusal("EmbeddingRelease", "glyphs-r2", refused),)
    plan = world.decide()
    assert not plan.releases and refused in plan.projections[0].status["message"]
    world.step()
    world.refusals = (Refusal("EmbeddingRelease", "glyphs-r2", refused),)
    assert world.decide().releases, "told once, then tried again"
    world.run()
    assert world.entry() == "glyphs-r2"

    world = worlds.second("Warming")
    world.remove("Deployment", "glyphs-r2-encoder")
    world.refusals = (Refusal("Deployment", "glyphs-r2-encoder", "exceeded quota: pods"),)
    (write,) = [w for w in world.decide().projections if w.of.kind == "EmbeddingModel"]
    assert "exceeded quota: pods" in write.status["message"]


def test_too_many_indexes_are_named() -> None:
    world = World().apply_model()
    for number in range(33):
        world.apply_index(f"index-{number}")
    world.settle()
    assert "33 VectorIndexes name this model" in world.status["message"]


def test_two_releases_on_their_way_become_one() -> None:
    world = worlds.second("Training")
    world.edit("EmbeddingModel", "glyphs", lambda raw: None)
    twin = copy.deepcopy(world.release(2))
    twin["metadata"] = {
        "name": "glyphs-r3",
        "ownerReferences": twin["metadata"]["ownerReferences"],
    }
    twin["spec"]["number"] = 3
    world.create(twin)
    world.run()
    assert world.entry() == "glyphs-r3" and world.record(2)["outcome"] == "Superseded"
    assert not world.has_release(4)


def test_a_field_that_others_keep_rewriting_holds_no_release_up() -> None:
    world = worlds.second("Warming")

    def rewrite(raw: Any) -> None:
        raw["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 99

    world.edit("Deployment", "glyphs-r2-encoder", rewrite)
    world.ready_all()
    world.step()
    assert world.stage(2) == "Promoting"


def test_edge_18b_abort_of_a_release_that_is_being_aborted_and_of_one_that_ended() -> None:
    world = worlds.promoting()
    world.step()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    world.annotate("abort", "r2").settle()
    world.annotate("abort", "r2.2").settle()
    assert world.handled("abort") == "accepted: r2 is being aborted already"
    world.annotate("rollback", "r1").settle()
    assert world.stage(2) == "RollingBack", "the entry point cannot go back yet"
    world.run()
    assert world.entry() == "glyphs-r1"
    world.pass_time(31).run()
    world.annotate("abort", "r2.3").settle()
    assert world.handled("abort") == "refused: r2 is Superseded: there is nothing to abort"


def test_verbs_during_the_switch_back_wait_until_it_is_read_back() -> None:
    for verb, value, entry in (("abort", "r1", "glyphs-r2"), ("rollback", "r2", "glyphs-r2")):
        world = worlds.two().annotate("rollback", "r1")
        world.step()
        assert world.stage(1) == "Promoting" and world.entry() == "glyphs-r1"
        world.annotate(verb, value if verb == "abort" else "r2").run()
        assert world.entry() == entry and world.stage(2) == "Serving"
    world = worlds.two().annotate("pause", "r1").annotate("rollback", "r1").run()
    world.annotate("rollback", "r1.2").settle()
    assert world.handled("rollback") == "accepted: the entry point is moving to r1"


def test_a_retry_waits_for_a_release_that_returns() -> None:
    world = worlds.two().change_model("training.seed", 8).run_to("Training", 3)
    world.end_job("glyphs-r3-train-1", code=2)
    world.settle().annotate("pause", "r1").annotate("rollback", "r1").settle()
    world.annotate("retry", "r3").settle()
    assert world.handled("retry") == "refused: r1 is on its way: wait, or abort it"


def test_a_broken_index_of_a_model_that_is_gone_is_told_too() -> None:
    world = World().apply_index().apply_index("second")
    world.change_index("replicas", "many", "second")
    world.set_status("VectorIndex", "second", {"novel": 1})
    world.settle()
    assert "there is no EmbeddingModel" in world.index_status()["message"]
    assert "`spec.replicas` ('many')" in world.index_status("second")["message"]


def test_two_live_jobs_of_one_kind_become_one_before_the_next_is_made() -> None:
    world = worlds.second("Training")
    stray = copy.deepcopy(world.objects["Job", "glyphs-r2-train-1"])
    stray["metadata"]["name"] = "glyphs-r2-train-7"
    world.create(stray)
    world.remove("Job", "glyphs-r2-train-1")
    world.step()
    assert world.jobs() == []
    world.settle()
    assert world.jobs() == ["glyphs-r2-train-1"]


def test_a_mixed_pair_is_told_should_it_ever_be() -> None:
    world = worlds.healthy()
    raw = copy.deepcopy(world.release(1))
    raw["status"]["builds"][0]["spaceID"] = "ffffffffffff"
    world.put(raw)
    world.settle()
    assert world.says("Paired") == ("False", "SpaceMismatch")
