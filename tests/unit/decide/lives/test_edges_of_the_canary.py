"""Canary: edges 10 to 20 of the state machine, and what steps, routers and capacity ask."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


def go_on(world: World) -> World:
    """Pods become ready and time passes, once."""
    world.ready_all().settle()
    if world.look_again_after is not None:
        world.pass_time(world.look_again_after + 1)
    return world.settle()


def writes_of(world: World, act: Any) -> list[str]:
    before = len(world.writes)
    act()
    return list(world.writes[before:])


# -- edge 10, 11: steps


def test_edge_10_the_first_release_takes_no_steps() -> None:
    world = worlds.canary()
    assert "Canary" not in [e.reason for e in world.events if e.note.startswith("r1")]
    assert world.behind_entry() >= {"glyphs-r1"}


def test_edge_11_a_step_is_over_when_its_weight_was_read_back() -> None:
    world = worlds.canary()
    assert world.stage(2) == "Canary" and world.record(2)["step"]["index"] == 1
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"} and world.entry() == "glyphs-r1"
    assert world.replicas(1) == 3 and world.replicas(2) == 1
    assert world.record(2)["weights"]["achieved"] == 25
    assert world.status["stepDisplay"] == "2/5" and world.status["weightDisplay"] == "25%"
    assert world.status["stable"]["weight"] == 75 and world.status["candidate"]["weight"] == 25
    assert "r1 serves 75% of the requests, r2 25%." in world.status["message"]


def test_edge_11_a_weight_is_not_read_back_before_its_pods_are_ready() -> None:
    world = worlds.canary(at=2)
    assert world.replicas(2) == 3
    assert world.record(2)["step"]["index"] == 2
    assert world.status["weightDisplay"] == "50% (25%)"
    world.ready("Deployment", "glyphs-r2-encoder", ready=2)
    world.settle()
    assert world.record(2)["step"]["index"] == 2
    world.ready_all().settle()
    assert world.record(2)["step"]["index"] == 3
    assert world.record(2)["weights"]["achieved"] == 50


def test_edge_11_at_most_three_writes_for_a_step_and_none_while_it_lasts() -> None:
    world = worlds.canary(at=1)
    assert world.status["step"]["state"] == "pause 60 s"
    for _ in range(5):
        world.pass_time(11)
        assert writes_of(world, world.settle) == []

    def next_step() -> None:
        world.pass_time(30)
        world.settle()
        world.ready_all()

    found = writes_of(world, next_step)
    assert sorted(found) == [
        "APPLY Deployment glyphs-r2-encoder",
        "STATUS EmbeddingModel glyphs",
        "STATUS EmbeddingRelease glyphs-r2",
    ]
    # The next step begins with the same write that ends this one.
    assert len(writes_of(world, world.settle)) == 2


def test_edge_11_a_step_that_takes_too_long_gives_the_traffic_back() -> None:
    world = worlds.canary(at=2)
    world.ready("Deployment", "glyphs-r2-encoder", ready=1)
    world.settle().pass_time(901).settle()
    assert world.stage(2) == "RollingBack" and world.behind_entry() == {"glyphs-r1"}
    world.pass_time(31).settle()
    assert world.stage(2) == "Failed"
    failure = world.record(2)["lastFailure"]
    assert failure["stage"] == "Canary" and failure["reason"] == "ProgressDeadlineExceeded"
    assert "1 of 3 pods ready" in failure["message"]


def test_edge_11_a_weight_that_pods_of_stable_kept_from_being_reached_says_so() -> None:
    world = worlds.canary(at=2)
    world.ready("Deployment", "glyphs-r2-encoder")
    world.ready("Deployment", "glyphs-r1-encoder", ready=1)
    world.settle().pass_time(901).settle()
    told = world.record(2)["ending"]["message"]
    assert "r1 beside it: " in told and "1 of 3" in told


def test_edge_11_other_steps_begin_anew() -> None:
    world = worlds.canary(at=3)
    world.change_model("rollout.steps", [{"setWeight": 50}, {"pause": {"seconds": 5}}]).settle()
    assert world.record(2)["step"]["index"] == 1
    world.pass_time(6).settle()
    assert world.stage(2) == "Serving"


# -- edge 12: pauses


def test_edge_12_a_timed_pause_is_left_when_its_time_has_passed() -> None:
    world = worlds.canary(at=1)
    assert world.status["phase"] == "Progressing"
    assert "takes step 2/5: pause 60 s, until 2026-" in world.status["message"]
    world.pass_time(59).settle()
    assert world.record(2)["step"]["index"] == 1
    world.pass_time(2).settle()
    assert world.record(2)["step"]["index"] == 2


@pytest.mark.parametrize("how", ["annotation", "spec"])
def test_edge_12_a_pause_without_time_waits_for_a_person(how: str) -> None:
    world = worlds.canary(at=3)
    world.pass_time(90_000).settle()
    assert world.status["phase"] == "Paused" and world.record(2)["pauseReason"] == "StepPause"
    assert "Continue: kubectl annotate em/glyphs" in world.status["message"]
    assert "lockstep.dev/promote=r2" in world.status["message"]
    if how == "annotation":
        world.annotate("promote", "r2").settle()
    else:
        world.change_model("rollout.approvedRelease", "r2").settle()
    assert world.stage(2) == "Serving"


def test_edge_12_an_approval_of_another_release_approves_nothing() -> None:
    world = worlds.canary(at=3)
    world.change_model("rollout.approvedRelease", "r1").settle()
    assert world.record(2)["step"]["index"] == 3
    world.annotate("promote", "r7").settle()
    assert world.record(2)["step"]["index"] == 3


def test_edge_12_a_hold_is_a_level_and_stops_the_clock_of_a_step() -> None:
    world = worlds.canary(at=1)
    world.annotate("pause", "r2").settle()
    assert world.status["phase"] == "Paused"
    world.pass_time(500).settle()
    assert world.record(2)["step"]["index"] == 1 and len(world.behind_entry()) == 2
    world.annotate("pause", None).settle()
    world.pass_time(40).settle()
    assert world.record(2)["step"]["index"] == 1
    world.pass_time(25).settle()
    assert world.record(2)["step"]["index"] == 2


def test_edge_12_hold_at_step_is_a_ceiling_that_promote_does_not_lift() -> None:
    world = worlds.canary(at=1, holdAtStep=2)
    world.pass_time(61).settle()
    assert world.record(2)["pauseReason"] == "HeldAtStep"
    assert "raise it to go on" in world.status["message"]
    assert world.record(2)["step"]["index"] == 2 and world.replicas(2) == 1
    world.annotate("promote", "r2").settle()
    assert world.status["lastHandled"][0]["outcome"].startswith("refused: r2 is held by")
    world.change_model("rollout.holdAtStep", 3).settle()
    assert world.record(2).get("pauseReason") is None and world.replicas(2) == 3


def test_edge_12_manual_promotion_waits_after_the_last_step() -> None:
    steps = [{"setWeight": 50}, {"setWeight": 100}]
    world = worlds.canary(steps=steps, at=1, promotion="Manual")
    go_on(world)
    assert world.record(2)["pauseReason"] == "ApprovalRequired"
    assert world.says("Ready") == ("False", "ApprovalRequired")
    world.annotate("promote", "r2").settle()
    assert world.stage(2) == "Serving" and world.behind_entry() == {"glyphs-r2"}


# -- edge 13, 14: what stops a candidate


def test_edge_13_a_candidate_that_answers_no_more_gives_its_traffic_back() -> None:
    world = worlds.canary(at=1)
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    world.settle()
    assert world.stage(2) == "RollingBack" and world.behind_entry() == {"glyphs-r1"}
    world.pass_time(31).settle()
    assert world.stage(2) == "Failed"
    assert world.record(2)["lastFailure"]["reason"] == "PodsNotReady"
    assert world.says("Serving") == ("True", "Serving") and world.status["phase"] == "Degraded"
    assert ("Deployment", "glyphs-r2-encoder") not in world.objects


def test_edge_13_its_pods_stay_until_what_reached_them_has_ended() -> None:
    world = worlds.canary(at=1, abortScaleDownDelaySeconds=120)
    world.annotate("abort", "r2").settle()
    assert world.behind_entry() == {"glyphs-r1"} and world.stage(2) == "RollingBack"
    world.pass_time(100).settle()
    assert ("Deployment", "glyphs-r2-encoder") in world.objects
    world.pass_time(21).settle()
    assert ("Deployment", "glyphs-r2-encoder") not in world.objects
    assert world.stage(2) == "Superseded" and world.record(2)["outcome"] == "Aborted"


def test_edge_13_the_indexes_stay_until_the_encoder_has_ended() -> None:
    """What a slow encoder still answers needs its indexes, however long it takes."""
    world = worlds.canary(at=1)
    labels = world.objects["Deployment", "glyphs-r2-encoder"]["spec"]["template"]["metadata"]
    pod = {"metadata": {"name": "encoder-x", "labels": dict(labels["labels"])}}
    running = {"phase": "Running", "podIP": "10.0.0.9"}
    world.create({"apiVersion": "v1", "kind": "Pod", **pod, "spec": {}, "status": running})
    world.annotate("abort", "r2").settle().pass_time(31).settle()
    assert world.stage(2) == "Superseded"
    assert ("Deployment", "glyphs-r2-encoder") not in world.objects
    left = {("Deployment", "glyphs-r2-glyphs"), ("Service", "glyphs-r2-glyphs")}
    assert left <= set(world.objects)
    world.remove("Pod", "encoder-x")
    world.settle()
    assert not left & set(world.objects)


# -- edge 15, 16, 17


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_edge_15_abort_at_every_step_returns_all_requests_first(step: int) -> None:
    world = worlds.canary(at=step)
    world.annotate("abort", "r2").settle()
    assert world.behind_entry() == {"glyphs-r1"}
    world.pass_time(31).settle()
    assert world.stage(2) == "Superseded" and world.stage(1) == "Serving"
    assert world.status["phase"] == "Degraded" and "was aborted" in world.status["message"]
    world.annotate("retry", "r2").settle()
    assert world.stage(2) == "Warming"
    assert world.run().stage(2) == "Canary"


def test_edge_16_all_pods_are_there_before_the_candidate_takes_all_requests() -> None:
    world = worlds.canary(steps=[{"setWeight": 25}], stage="Promoting", at=None)
    assert world.stage(2) == "Promoting" and world.replicas(2) == 3
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"}, "until then the share is kept"
    world.ready_all().settle()
    assert world.stage(2) == "Serving" and world.behind_entry() == {"glyphs-r2"}
    assert world.stage(1) == "Retained" and world.replicas(1) == 3
    assert world.record(2).get("weights") is None and "step" not in world.status


def test_edge_17_pods_that_do_not_come_at_promotion_give_the_traffic_back() -> None:
    world = worlds.canary(steps=[{"setWeight": 25}], stage="Promoting", at=None)
    world.ready("Deployment", "glyphs-r2-encoder", ready=1)
    world.settle().pass_time(901).settle()
    assert world.stage(2) == "RollingBack" and world.behind_entry() == {"glyphs-r1"}


# -- edge 19, 20: capacity


def test_edge_19_shared_pods_return_to_stable_before_its_traffic_does() -> None:
    world = worlds.canary(replicas=4, at=3, capacity="ResourceAware")
    assert (world.replicas(1), world.replicas(2)) == (2, 2)
    world.annotate("abort", "r2").settle()
    assert world.stage(2) == "RollingBack" and world.replicas(1) == 4
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"}, "stable has 2 of 4 pods"
    world.ready("Deployment", "glyphs-r1-encoder")
    world.settle()
    assert world.behind_entry() == {"glyphs-r1"}


def test_edge_19_shared_pods_move_with_the_weight_and_the_kept_release_is_cold() -> None:
    world = worlds.canary(replicas=4, at=1, capacity="ResourceAware")
    assert (world.replicas(1), world.replicas(2)) == (3, 1)
    for _ in range(4):
        go_on(world)
    world.annotate("promote", "r2").settle()
    world.run()
    assert world.stage(2) == "Serving"
    assert (world.replicas(1), world.replicas(2)) == (0, 4)
    world.annotate("rollback", "r1").settle()
    assert world.behind_entry() == {"glyphs-r2"} and world.replicas(1) == 2
    world.run()
    assert world.behind_entry() == {"glyphs-r1"} and world.stage(1) == "Serving"


def test_edge_20_the_better_one_keeps_the_traffic_when_stable_is_down_too() -> None:
    world = worlds.canary(at=1)
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    world.settle()
    world.annotate("abort", "r2").settle()
    assert world.stage(2) == "RollingBack"
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"}, "r2 alone answers"
    assert "r2 keeps its traffic, as r1 lacks pods to take it" in world.status["message"]
    assert world.status["phase"] == "Degraded"
    world.ready("Deployment", "glyphs-r1-encoder")
    world.settle()
    assert world.behind_entry() == {"glyphs-r1"}


# -- edge 22, 23, 24, 25: other wishes in the middle of a canary


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_edge_23_a_revert_in_the_middle_is_a_rollback(step: int) -> None:
    world = worlds.canary(at=step)
    world.change_model("training.seed", 0).settle()
    assert world.behind_entry() == {"glyphs-r1"} and not world.has_release(3)
    world.pass_time(31).settle()
    assert world.stage(2) == "Superseded" and world.record(2)["outcome"] == "RolledBack"
    assert world.status["phase"] == "Healthy"


def test_edge_24_a_third_spec_goes_to_stable_first_then_supersedes() -> None:
    world = worlds.canary(at=2)
    world.change_model("training.seed", 9).settle()
    assert world.behind_entry() == {"glyphs-r1"} and not world.has_release(3)
    world.pass_time(31).settle()
    assert world.stage(2) == "Superseded" and world.has_release(3)


def test_edge_24_queue_lets_the_candidate_end_and_then_releases_the_newest_spec() -> None:
    world = worlds.canary(at=2, supersede="Queue")
    world.change_model("training.seed", 9).settle()
    world.change_model("training.seed", 10).settle()
    assert (
        world.stage(2) == "Canary" and "`spec.rollout.supersede: Queue`" in world.status["message"]
    )
    go_on(world)
    world.annotate("promote", "r2").settle()
    world.ready_all().settle()
    assert world.stage(2) in ("Serving", "Finalizing")
    world.settle()
    assert world.has_release(3) and world.release(3)["spec"]["training"]["seed"] == 10


def test_edge_25_a_rollback_gives_up_a_canary_and_needs_no_steps() -> None:
    world = worlds.canary(at=3)
    world.annotate("promote", "r2").settle()
    world.run()
    assert world.stage(2) == "Serving"
    world.annotate("rollback", "r1").settle()
    assert world.behind_entry() == {"glyphs-r1"} and world.stage(2) == "Retained"


def test_a_kept_release_never_stands_behind_a_joint_entry() -> None:
    """r2 was the candidate of r1, was rolled back and is kept: r3 must share with r1 alone."""
    world = worlds.canary(at=3)
    world.annotate("promote", "r2").settle()
    world.run()
    world.annotate("rollback", "r1").settle().run()
    world.change_model("training.seed", 9)
    for _ in range(12):
        world.run()
        assert world.behind_entry() <= {"glyphs-r1", "glyphs-r3"}
        if world.stage(3) == "Canary" and len(world.behind_entry()) == 2:
            break
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r3"} and world.stage(2) == "Retained"


# -- what cannot be asked


@pytest.mark.parametrize(
    ("steps", "replicas", "words"),
    [
        ([{"setWeight": 25}], 1, "`spec.rollout.steps[0].setWeight` is 25"),
        ([{"setWeight": 50}, {"setWeight": 80}], 4, "`spec.rollout.steps[1].setWeight` is 80"),
        ([{"mirror": 10}], 4, "cannot copy requests"),
    ],
)
def test_steps_that_cannot_be_taken_hold_the_candidate_and_say_why(
    steps: Any, replicas: int, words: str
) -> None:
    spec = worlds.model_spec(serving={"replicas": replicas})
    spec["rollout"]["steps"] = steps
    world = worlds.World().apply_model(**spec).apply_index().run()
    assert world.stage(1) == "Serving" and world.says("StepsAccepted") == ("False", "StepsRefused")
    world.change_model("training.seed", 7).run()
    assert world.stage(2) == "Warming" and world.status["phase"] == "Paused"
    assert words in world.status["message"] and words in world.condition("StepsAccepted")["message"]
    assert world.behind_entry() == {"glyphs-r1"}
    world.pass_time(5000).settle()
    assert world.stage(2) == "Warming", "the clock stands still"
    world.change_model("rollout.steps", [{"setWeight": 50}]).run()
    assert world.stage(2) == "Serving"


def test_edge_25_what_was_promoted_by_a_canary_stays_warm_after_a_rollback() -> None:
    world = worlds.canary(at=3)
    world.annotate("promote", "r2").settle()
    world.run()
    found = writes_of(world, lambda: world.annotate("rollback", "r1").settle())
    assert "APPLY Deployment glyphs-r2-encoder" not in found
    assert world.stage(2) == "Retained"
    world.annotate("rollback", "r2").settle()
    assert world.behind_entry() == {"glyphs-r2"} and world.stage(2) == "Serving"


def test_edge_25_an_accepted_rollback_waits_for_pods_that_roll_and_says_so() -> None:
    world = worlds.two()
    world.annotate("rollback", "r1")
    with pytest.raises(worlds.Killed):
        world.step(kill_after=1)
    world.restart()
    world.change_model("serving.replicas", 2)
    world.ready("Deployment", "glyphs-r2-encoder", ready=1)
    world.settle()
    assert world.stage(1) == "Promoting" and "waits for its pods" in world.status["message"]
    world.ready_all().settle()
    assert world.stage(1) == "Serving"


def test_a_wait_for_a_person_says_that_nothing_measures_the_requests_meanwhile() -> None:
    told = "No gate measures r2 while it waits."
    world = worlds.canary(at=1)
    assert told not in world.settle().status["message"], "a pause that ends by itself"
    world = worlds.canary(at=3)
    assert world.record(2)["pauseReason"] == "StepPause" and told in world.status["message"]
    world = worlds.canary([{"pause": {}}, {"setWeight": 50}])
    assert world.record(2)["pauseReason"] == "StepPause", "and it has no requests yet"
    assert told not in world.status["message"]
