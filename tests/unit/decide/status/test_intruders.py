"""An EmbeddingRelease that lost its owner: told on the model, with commands that work."""

from __future__ import annotations

import json
import re

import pytest

from lockstep_operator.api.objects import Object
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


def disown(world: World, name: str = "glyphs-r1", owners: list[Object] | None = None) -> World:
    def change(raw: Object) -> None:
        raw["metadata"] = {**raw["metadata"], "ownerReferences": owners or []}

    world.edit("EmbeddingRelease", name, change)
    return world.settle()


def test_a_record_that_lost_its_owner_is_told_and_says_that_it_answers() -> None:
    world = disown(worlds.healthy())
    message = world.status["message"]
    assert (
        "EmbeddingRelease glyphs-r1 has lost its ownerReference: it is not used, answers users"
        in (message)
    )
    assert "would outlive the model" in message
    assert "kubectl annotate er/glyphs-r1 -n shop lockstep.dev/allow-delete=true" in message


def test_the_command_that_takes_it_back_does() -> None:
    world = disown(worlds.two())
    assert world.status["phase"] != "Healthy"
    (patch,) = re.findall(
        r"kubectl patch er/glyphs-r1 -n shop --type=merge -p '([^']+)'", (world.status["message"])
    )
    owners = json.loads(patch)["metadata"]["ownerReferences"]
    world = disown(world, owners=owners)
    assert world.release(1)["metadata"]["ownerReferences"] == owners
    assert "ownerReference" not in world.status["message"]


def test_what_serves_is_degraded_beside_it() -> None:
    world = disown(worlds.two())
    world.run()
    assert (world.status["phase"], world.says("Ready")) == (
        "Degraded",
        ("False", "ReleaseNotOwned"),
    )
    assert world.status["message"].startswith("r2 serves all requests.")
    assert "answers users" not in world.status["message"]
    world.remove("EmbeddingRelease", "glyphs-r1")
    world.settle()
    assert world.says("Ready") == ("True", "Healthy")


def test_a_record_of_someone_else_names_its_owner() -> None:
    other = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "mine", "uid": "m"}]
    world = disown(worlds.two(), owners=other)
    assert "glyphs-r1 is owned by Deployment mine, not by this model:" in world.status["message"]


def test_a_model_that_is_deleted_says_what_stays() -> None:
    world = disown(worlds.two())

    def change(raw: Object) -> None:
        raw["metadata"] = {**raw["metadata"], "deletionTimestamp": world.text()}

    world.edit("EmbeddingModel", "glyphs", change)
    world.settle()
    assert world.status["phase"] == "Terminating"
    assert (
        "It does not own glyphs-r1, and what they run stays; delete it: kubectl"
        in (world.status["message"])
    )
