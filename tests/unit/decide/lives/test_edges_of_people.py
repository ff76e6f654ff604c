"""Edges that people cause, by number: pauses, abort, promote, and what a switch leaves behind."""

from __future__ import annotations

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
