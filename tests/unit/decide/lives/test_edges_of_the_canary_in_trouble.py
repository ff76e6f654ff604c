"""Canary: what people, specs and the cluster do in the middle of one, at odd moments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World, canary

pytestmark = pytest.mark.unit

HALF = [{"setWeight": 50}]


def shares(world: World) -> tuple[int | None, int | None]:
    """Percent that stable and candidate answer, as the status tells it."""
    found = [(world.status.get(one) or {}).get("weight") for one in ("stable", "candidate")]
    return found[0], found[1]


def event_notes(world: World) -> list[str]:
    return [event.note for event in world.events]


# -- edge 12: holds


def test_edge_12_a_hold_over_a_wait_tells_the_command_that_ends_the_hold() -> None:
    world = canary(at=3).annotate("pause", "r2").settle()
    assert world.record(2)["pauseReason"] == "StepPause"
    told = world.status["message"]
    assert "r2 is paused by a person" in told and "lockstep.dev/pause-" in told
    assert "promote" not in told, "it would not go on for that"
    world.annotate("pause", None).settle()
    assert "lockstep.dev/promote=r2" in world.status["message"]


def test_edge_12_the_command_of_a_ceiling_lets_the_next_step_begin() -> None:
    world = canary(at=1, holdAtStep=2).pass_time(61).settle()
    assert '-p \'{"spec":{"rollout":{"holdAtStep":3}}}\'' in world.status["message"]
    world.change_model("rollout.holdAtStep", 3).settle().ready_all().settle()
    assert '{"holdAtStep":4}' in world.status["message"]
    world.change_model("rollout.holdAtStep", 4).settle()
    world.annotate("promote", "r2").settle()
    assert '{"holdAtStep":null}' in world.status["message"], "after the last step"
    world.change_model("rollout.holdAtStep", None).settle().run()
    assert world.stage(2) == "Serving"


def test_a_lower_ceiling_takes_traffic_back_and_a_higher_one_waits_for_pods() -> None:
    world = canary(at=3)
    world.change_model("rollout.holdAtStep", 1).settle().ready_all().settle()
    assert shares(world) == (75, 25) and world.record(2)["weights"]["asked"] == 25
    world.change_model("rollout.holdAtStep", None).settle()
    assert shares(world) == (75, 25) and world.replicas(2) == 3
    world.ready_all().settle()
    assert shares(world) == (50, 50)


@pytest.mark.parametrize("steps", [[], [{"setWeight": 100}]])
def test_manual_promotion_waits_also_where_there_are_no_steps(steps: Any) -> None:
    world = canary(steps=steps, at=None, promotion="Manual").run()
    assert world.says("Ready") == ("False", "ApprovalRequired")
    assert world.behind_entry() == {"glyphs-r1"} and shares(world) == (100, 0)
    assert "waits to be approved" in world.status["message"]
    world.change_model("rollout.approvedRelease", "r2").run()
    assert world.stage(2) == "Serving" and world.replicas(2) == 3
    world.annotate("rollback", "r1").settle()
    assert world.stage(1) == "Serving", "a way back needs no approval"


def test_edge_12_an_approval_is_of_the_steps_that_were_taken() -> None:
    world = canary(steps=HALF, promotion="Manual", at=1).annotate("pause", "r2").settle()
    world.annotate("promote", "r2").settle()
    assert world.record(2)["approvedAt"] and world.stage(2) == "Canary"
    world.change_model("rollout.steps", worlds.STEPS).annotate("pause", None).settle()
    assert world.record(2).get("approvedAt") is None


# -- edge 11: what moves the weight besides a step


def test_edge_11_other_steps_that_send_nothing_are_told_as_that() -> None:
    world = canary(at=3)
    world.change_model("rollout.steps", [{"pause": {}}, *HALF]).settle()
    assert world.behind_entry() == {"glyphs-r1"} and shares(world) == (100, 0)
    assert "r1 serves all requests." in world.status["message"]


def test_edge_11_another_number_of_pods_is_another_share_and_is_told() -> None:
    world = canary(at=1).change_model("serving.replicas", 1).settle().ready_all().settle()
    assert world.says("StepsAccepted") == ("False", "StepsRefused")
    assert shares(world) == (50, 50) and world.status["weightDisplay"] == "25% (50%)"
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    world.settle()
    assert world.stage(2) == "RollingBack"


def test_edge_11_pods_that_come_and_go_during_a_pause_write_no_record() -> None:
    world = canary(at=3)
    before = world.record(2)
    for ready in (2, 3, 1, 3):
        world.ready("Deployment", "glyphs-r2-encoder", ready=ready)
        world.settle()
        assert world.record(2) == before


def test_edge_11_another_router_has_achieved_nothing_yet() -> None:
    world = canary(at=1)
    traffic = {"router": "GatewayAPI", "gateway": {"parentRefs": [{"name": "edge"}]}}
    world.change_model("rollout.traffic", traffic).settle()
    assert world.record(2)["step"]["index"] == 0 and world.behind_entry() == {"glyphs-r1"}
    assert shares(world) == (100, 0) and world.says("StepsAccepted") == ("False", "StepsRefused")
    assert any("begins its steps anew" in note for note in event_notes(world))
    world.change_model("rollout.traffic", {"router": "Replicas"}).settle()
    assert world.record(2)["step"]["index"] == 1 and shares(world) == (75, 25)


# -- edge 13, 15: the way back


@pytest.mark.parametrize("capacity", ["Availability", "ResourceAware"])
def test_no_pod_goes_before_what_reached_it_was_answered(capacity: str) -> None:
    world = canary(replicas=4, at=3, capacity=capacity)
    pods = world.replicas(2)
    assert pods > 1
    world.annotate("abort", "r2").settle().ready_all().settle()
    assert world.behind_entry() == {"glyphs-r1"} and world.replicas(2) == pods
    assert "ends when it has answered what reached it (Aborted" in world.status["message"]
    world.pass_time(31).settle()
    assert ("Deployment", "glyphs-r2-encoder") not in world.objects


def test_traffic_that_was_not_read_back_yet_is_answered_too() -> None:
    world = canary(stage="Warming", at=None).ready_all()
    world.step()
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"}
    assert world.record(2).get("weights") is None
    world.annotate("abort", "r2").settle()
    assert world.stage(2) == "RollingBack" and world.behind_entry() == {"glyphs-r1"}
    assert world.pass_time(29).settle().stage(2) == "RollingBack"
    assert world.pass_time(2).settle().stage(2) == "Superseded"


def test_edge_15_a_candidate_without_traffic_ends_at_once() -> None:
    world = canary(steps=[{"pause": {}}, *HALF]).annotate("abort", "r2").settle()
    assert world.stage(2) == "Superseded"


def test_edge_12_a_pause_does_not_hold_the_way_back() -> None:
    world = canary(at=1).change_model("rollout.paused", True).settle()
    world.annotate("abort", "r2").settle()
    assert world.stage(2) == "RollingBack" and world.status["phase"] == "Progressing"
    assert event_notes(world).count("r2 is held before its next stage") == 1
    assert world.pass_time(31).settle().stage(2) == "Superseded"


# -- edge 16: promoting


def test_edge_16_the_share_is_told_until_the_entry_moves() -> None:
    world = canary(steps=[{"setWeight": 25}], stage="Promoting", at=None)
    assert shares(world) == (75, 25)
    assert "r1 serves 75% of the requests, r2 25%." in world.status["message"]
    world.ready_all().settle()
    assert shares(world) == (100, None)


def test_edge_16_shared_pods_never_go_back_to_those_of_the_first_step() -> None:
    world = canary(replicas=4, at=3, capacity="ResourceAware")
    world.annotate("promote", "r2").settle()
    assert (world.replicas(1), world.replicas(2)) == (1, 3)
    world.ready_all().settle()
    assert world.behind_entry() == {"glyphs-r2"} and world.replicas(2) == 4


@pytest.mark.parametrize("replicas", [1, 2])
def test_edge_16_the_smallest_shared_models_are_promoted(replicas: int) -> None:
    world = canary(HALF, replicas, at=None, stage="Serving", capacity="ResourceAware").run()
    assert world.stage(2) == "Serving" and world.replicas(2) == replicas


# -- edge 19, 20: stable cannot take the traffic, or is gone


def test_edge_19_pods_that_fit_no_node_are_not_waited_for() -> None:
    world = canary(replicas=4, at=3, capacity="ResourceAware")
    world.annotate("abort", "r2").settle()
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"}, "two pods of r1 are on their way"
    labels = {"model": "glyphs", "release": "glyphs-r1", "component": "encoder"}
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    metadata = {"name": "r1-x", "labels": {f"lockstep.dev/{k}": v for k, v in labels.items()}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}
    world.create(pod)
    world.set_status("Pod", "r1-x", {"phase": "Pending", "conditions": [scheduled]})
    world.settle()
    assert world.behind_entry() == {"glyphs-r1"}, "the room is what r2 holds"


def test_edge_19_pods_that_a_quota_refuses_are_not_waited_for() -> None:
    world = canary(replicas=4, at=3, capacity="ResourceAware")
    world.annotate("abort", "r2").settle()
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"}, "two pods of r1 are on their way"
    encoder = "glyphs-r1-encoder"
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": f'pods "{encoder}-1" is forbidden: exceeded quota: small, requested: pods=1',
    }
    seen = world.objects["Deployment", encoder]["metadata"]["generation"]
    status = {"observedGeneration": seen, "conditions": [failure]}
    world.set_status("Deployment", encoder, status)
    world.settle()
    assert world.behind_entry() == {"glyphs-r1"}, "the quota is what r2 uses"


def test_edge_20_a_person_may_settle_for_the_one_that_answers() -> None:
    world = canary(at=1)
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    world.settle().annotate("abort", "r2").settle()
    world.change_model("training.seed", 9).settle()
    assert not world.has_release(3)
    told = world.status["message"]
    assert "r1 cannot answer: what comes is answered by r2." in told
    assert "Or settle for r2: kubectl annotate em/glyphs -n shop --overwrite" in told
    world.annotate("promote", "r2").settle()
    assert world.stage(2) == "Promoting"
    world.ready("Deployment", "glyphs-r2-encoder")
    world.settle()
    assert world.stage(2) == "Serving" and world.has_release(3), "the next spec is not held up"


def test_edge_20_what_gives_its_traffic_back_to_a_release_that_answers_is_not_promoted() -> None:
    world = canary(at=1).annotate("abort", "r2").settle().annotate("promote", "r2").settle()
    handled = {entry["verb"]: entry["outcome"] for entry in world.status["lastHandled"]}
    assert handled["promote"] == "refused: r2 gives its traffic back to r1"
    assert world.pass_time(31).settle().stage(2) == "Superseded"


@pytest.mark.parametrize("what", ["nothing", "abort", "third spec", "pause", "rolling back"])
def test_the_record_of_stable_is_deleted_in_the_middle(what: str) -> None:
    """Its pods go with it. The candidate's are all that is left, and they answer on."""
    world = canary(at=1)
    if what == "pause":
        world.annotate("pause", "r2").settle()
    if what == "rolling back":
        world.ready("Deployment", "glyphs-r1-encoder", ready=0)
        world.settle().annotate("abort", "r2").settle()
    world.remove("EmbeddingRelease", "glyphs-r1")
    if what == "abort":
        world.annotate("abort", "r2")
    if what == "third spec":
        world.change_model("training.seed", 9)
    for _ in range(8):
        world.step()
        assert world.behind_entry() == {"glyphs-r2"}
        assert sum(weight or 0 for weight in shares(world)) in (0, 100)
    world.settle().ready_all().settle()
    if what == "pause":
        assert "r2 serves all requests." in world.status["message"] and shares(world) == (None, 100)
        world.annotate("pause", None).settle().ready_all().settle()
    assert world.stage(2) == "Serving" and world.behind_entry() == {"glyphs-r2"}


def test_edge_28_a_kept_release_takes_over_from_a_canary_whose_stable_is_gone() -> None:
    world = canary(at=3).annotate("promote", "r2").settle().run()
    world.change_model("training.seed", 9)
    for _ in range(6):
        world.run()
    assert world.stage(3) == "Canary"
    world.remove("EmbeddingRelease", "glyphs-r2")
    for _ in range(6):
        world.step()
        assert world.behind_entry() and world.behind_entry() <= {"glyphs-r1", "glyphs-r3"}
    assert world.settle().stage(1) == "Serving" and world.stage(3) == "Superseded"


# -- edge 21: again


def test_edge_21_a_retry_begins_with_no_weight_and_no_live_verdict() -> None:
    world = canary(at=3).annotate("abort", "r2").settle().pass_time(31).settle()
    world.annotate("retry", "r2").settle()
    assert world.stage(2) == "Warming" and world.record(2).get("weights") is None
    assert [found["name"] for found in world.record(2)["gates"]] == ["relevance"]


# -- edge 13, 14: gates that are measured live

SCARCE = worlds.ERRORS | {"name": "scarce", "minSamples": 99_999}
JUDGED = [*HALF, {"analysis": {"gates": ["scarce"]}}, {"analysis": {"gates": ["errors"]}}]


def judged(steps: Any = JUDGED) -> World:
    at = next(i for i, step in enumerate(steps) if "analysis" in step)
    gates = [worlds.GATE, worlds.ERRORS, SCARCE]
    found: World = canary(steps=steps, at=at, gates=gates)
    return found


def measure(world: World, failed: int = 0, times: int = 6) -> World:
    return worlds.measured(world, failed, times, seconds=10)


def test_edge_13_a_live_gate_that_fails_is_told_as_that_until_it_is_measured_anew() -> None:
    world = measure(judged([*HALF, JUDGED[2]]), failed=300)
    assert world.behind_entry() == {"glyphs-r1"}
    world.pass_time(31).settle()
    assert world.stage(2) == "Failed" and world.says("GatesPassed") == ("False", "GateFailed")
    told = world.status["message"]
    assert "r2 failed at Canary: GateFailed: errors: 5xx 30% > 5% FAIL" in told
    assert "r1 serves all requests." in told and "lockstep.dev/retry=r2" in told
    world.annotate("retry", "r2").settle()
    assert world.says("GatesPassed") == ("True", "GatesPassed")
    assert [found["name"] for found in world.record(2)["gates"]] == ["relevance"]


def test_edge_14_what_waits_at_a_gate_is_told_the_same_under_a_lower_ceiling() -> None:
    world = measure(judged())
    assert world.says("GatesPassed") == ("False", "GateInconclusive")
    told = world.status["message"]
    world.change_model("rollout.holdAtStep", 1).settle()
    assert world.record(2)["pauseReason"] == "GateInconclusive"
    assert world.status["message"] == told, "nobody let it pass yet"
    world.annotate("promote", "r2").settle()
    assert world.record(2)["pauseReason"] == "HeldAtStep"
    assert world.says("GatesPassed") == ("True", "GatesWaived")
    world.change_model("rollout.holdAtStep", None).settle()
    assert world.record(2)["step"]["index"] == 2


def test_edge_14_a_gate_that_was_waived_before_is_not_in_the_way_of_the_next() -> None:
    steps = [*HALF, {"analysis": {"gates": ["scarce"]}}, {"analysis": {"gates": ["errors"]}}]
    world = measure(judged(steps)).annotate("promote", "r2").settle()
    world.change_model("rollout.gates", [worlds.GATE, SCARCE]).settle()
    told = world.status["message"]
    assert "at gate errors: no live gate errors" in told and "scarce" not in told
    world.pass_time(1000).settle()
    assert world.status["message"] == told


def test_edge_14_gates_that_no_request_reaches_say_so() -> None:
    world = judged([{"analysis": {"gates": ["errors"]}}, *HALF])
    assert world.behind_entry() == {"glyphs-r1"}
    world.change_model("rollout.gates", [worlds.GATE]).settle()
    assert "no step before 1/2 sends it requests." in world.status["message"]


def test_edge_14_a_retry_measures_anew_and_a_promotion_twice_passes_one_gate() -> None:
    world = measure(judged()).annotate("retry", "r2").settle()
    assert world.says("GatesPassed") == ("True", "GatesPassed")
    assert world.record(2).get("pauseReason") is None
    world.annotate("promote", "r2").settle()
    outcome = {entry["verb"]: entry["outcome"] for entry in world.status["lastHandled"]}
    assert "waits for nobody" in outcome["promote"], "it is being measured"
    measure(world).annotate("promote", "r2.2").settle().annotate("promote", "r2.3").settle()
    assert world.record(2)["step"]["index"] == 2 and world.stage(2) == "Canary"


def test_a_share_that_another_router_gave_is_given_again_only_when_its_pods_are_there() -> None:
    route = {"router": "GatewayAPI", "gateway": {"parentRefs": [{"name": "edge"}]}}
    spec = worlds.model_spec(serving={"replicas": 2})
    spec["rollout"] |= {"steps": [{"setWeight": 50}, {"pause": {}}], "traffic": route}
    world = World(gateway_api=True, tended=True).apply_model(**spec).apply_index().run()
    world.change_model("training.seed", 7).run()
    assert world.record(2)["weights"]["achieved"] == 50
    world.scale("glyphs-r2-encoder", 1)
    world.settle()
    world.change_model("rollout.traffic", {"router": "Replicas"}).settle()
    assert world.behind_entry() == {"glyphs-r1"}, "not with pods that were changed just now"
    world.ready_all().settle()
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"}
