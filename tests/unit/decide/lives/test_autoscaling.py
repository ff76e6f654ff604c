"""Autoscaling: an autoscaler counts the encoder pods, and the operator writes no number of them."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_operator.api.objects import Object
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

AUTOSCALER = "HorizontalPodAutoscaler"
SCALING = {"minReplicas": 2, "maxReplicas": 6}
STABLE, NEXT = "glyphs-r1-encoder", "glyphs-r2-encoder"


def autoscaled(**scaling: Any) -> World:
    return worlds.healthy(serving={"replicas": 1, "autoscaling": SCALING | scaling})


def autoscaler(world: World, name: str = STABLE) -> Object:
    found: Object = world.objects[AUTOSCALER, name]["spec"]
    return found


def replicas(world: World, name: str = STABLE) -> int:
    return int(world.objects["Deployment", name]["spec"]["replicas"])


def scale(world: World, count: int, name: str = STABLE) -> World:
    """What the autoscaler's controller does, and the pods that follow."""
    world.scale(name, count)
    world.ready("Deployment", name)
    return world.settle()


def down(world: World, name: str = STABLE) -> str:
    return str(autoscaler(world, name)["behavior"]["scaleDown"]["selectPolicy"])


def test_a_release_starts_with_the_fewest_and_is_left_to_its_autoscaler() -> None:
    world = autoscaled()
    spec = autoscaler(world)
    assert spec["scaleTargetRef"]["name"] == STABLE
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)
    assert replicas(world) == 2 and world.status["phase"] == "Healthy"
    before = len(world.writes)
    scale(world, 5)
    assert replicas(world) == 5 and world.status["stable"]["readyReplicas"] == 5
    foreign = [write for write in world.writes[before:] if "STATUS" not in write]
    assert foreign == [], "what the autoscaler wrote is not undone"


def test_a_change_of_the_pods_leaves_their_number_alone() -> None:
    world = scale(autoscaled(), 4)
    world.change_model("serving.minReadySeconds", 5).run()
    assert replicas(world) == 4


def test_a_candidate_is_as_large_as_stable_before_it_takes_the_requests() -> None:
    world = scale(autoscaled(), 5)
    world.change_model("training.seed", 7).run_to("Warming", 2)
    assert replicas(world, NEXT) == 5 and autoscaler(world, NEXT)["minReplicas"] == 5
    assert down(world) == "Disabled", "stable may have to take everything back"
    # Stable grows meanwhile, and the candidate is not whole until it has grown too.
    scale(world, 6)
    assert autoscaler(world, NEXT)["minReplicas"] == 6
    world.ready("Deployment", NEXT)
    world.ready("Deployment", "glyphs-r2-glyphs")
    world.settle()
    assert world.stage(2) == "Warming" and "5 of 6 pods ready" in world.status["message"]
    scale(world, 6, NEXT)
    world.run()
    assert world.entry() == "glyphs-r2"
    assert autoscaler(world, NEXT)["minReplicas"] == 2 and down(world, NEXT) == "Max"


def test_a_kept_release_stays_as_large_as_what_replaced_it() -> None:
    world = scale(autoscaled(), 4)
    world.change_model("training.seed", 7).run()
    assert world.stage(1) == "Retained"
    scale(world, 6, NEXT)
    assert autoscaler(world)["minReplicas"] == 6
    # It may follow late: a rollback does not wait for that.
    world.annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r1"


@pytest.mark.parametrize("end", ["abort", "retire"])
def test_a_release_that_ended_has_no_autoscaler(end: str) -> None:
    world = autoscaled().change_model("training.seed", 7).run_to("Warming", 2)
    if end == "abort":
        world.annotate("abort", "r2").run()
        world.pass_time(60).run()
        assert world.stage(2) == "Superseded" and (AUTOSCALER, NEXT) not in world.objects
        assert down(world) == "Max"
        return
    world.run()
    world.pass_time(90_000).run()
    assert world.stage(1) == "Retired" and (AUTOSCALER, STABLE) not in world.objects
    assert (AUTOSCALER, NEXT) in world.objects


def test_switched_off_the_spec_counts_again() -> None:
    world = scale(autoscaled(), 5)
    world.change_model("serving", {"replicas": 3}).run()
    assert replicas(world) == 3 and (AUTOSCALER, STABLE) not in world.objects
    world.change_model("serving", {"replicas": 3, "autoscaling": SCALING}).run()
    assert replicas(world) == 3 and (AUTOSCALER, STABLE) in world.objects


def test_an_autoscaler_deleted_by_hand_comes_back_and_costs_no_answer() -> None:
    world = autoscaled()
    world.remove(AUTOSCALER, STABLE)
    world.decide()
    world.step()
    assert (AUTOSCALER, STABLE) in world.objects
    assert world.says("Serving") == ("True", "Serving")


def test_steps_by_the_share_of_pods_cannot_be_taken_beside_it() -> None:
    world = autoscaled()
    world.change_model("rollout.steps", [{"setWeight": 50}]).change_model("training.seed", 7)
    for _ in range(6):
        world.settle()
        world.end_jobs().ready_all()
    told = world.status["message"]
    assert world.entry() == "glyphs-r1" and "`spec.serving.autoscaling`" in told
    assert "GatewayAPI" in told
