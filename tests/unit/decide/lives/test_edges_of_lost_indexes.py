"""Edge 13, by a candidate that lost an index; and the pods that an older operator made."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.protocol.environment import CANARY_VARIABLE
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


def encoder(world: World, number: int) -> Any:
    return world.objects["Deployment", f"glyphs-r{number}-encoder"]


def names(world: World, number: int) -> set[str]:
    (container,) = encoder(world, number)["spec"]["template"]["spec"]["containers"]
    return {entry["name"] for entry in container["env"]}


def test_edge_13_an_index_deleted_by_hand_costs_the_weight_in_the_very_next_pass() -> None:
    """It is made again in the same pass: that is no reason to leave requests there meanwhile."""
    world = worlds.canary(at=1)
    assert world.behind_entry() == {"glyphs-r1", "glyphs-r2"}
    world.remove("Deployment", "glyphs-r2-glyphs")
    world.step()
    assert world.behind_entry() == {"glyphs-r1"} and world.stage(2) == "RollingBack"
    assert ("Deployment", "glyphs-r2-glyphs") in world.objects
    world.settle()
    assert "PodsNotReady: answers no more: Deployment glyphs-r2-glyphs" in world.status["message"]


def test_edge_13_an_index_without_ready_servers_costs_the_weight_as_well() -> None:
    world = worlds.canary(at=1)
    world.ready("Deployment", "glyphs-r2-glyphs", ready=0)
    world.step()
    assert world.behind_entry() == {"glyphs-r1"}


def test_a_candidate_is_told_of_stable_and_keeps_its_pods_when_it_is_promoted() -> None:
    world = worlds.canary(at=1)
    assert CANARY_VARIABLE in names(world, 2) and CANARY_VARIABLE not in names(world, 1)
    before = encoder(world, 2)["spec"]["template"]
    world.run().pass_time(61).run()
    world.annotate("promote", "r2").run()
    assert world.stage(2) == "Serving"
    assert encoder(world, 2)["spec"]["template"] == before


def test_an_upgrade_of_the_operator_moves_no_encoder_that_was_made_without_it() -> None:
    world = worlds.canary(at=1)

    def before_the_upgrade(raw: Any) -> None:
        (container,) = raw["spec"]["template"]["spec"]["containers"]
        container["env"] = [e for e in container["env"] if e["name"] != CANARY_VARIABLE]

    world.edit("Deployment", "glyphs-r2-encoder", before_the_upgrade)
    world.ready_all().settle()
    assert CANARY_VARIABLE not in names(world, 2)
    assert world.stage(2) == "Canary"
    # Pods that are made anew are told.
    world.remove("Deployment", "glyphs-r2-encoder")
    world.step()
    assert CANARY_VARIABLE in names(world, 2)
