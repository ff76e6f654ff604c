"""A search that names no index goes on being answered when another index comes or goes."""

from __future__ import annotations

import pytest

from lockstep_core.protocol.environment import DEFAULT_INDEX_VARIABLE
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

OTHER = {"source": {"uri": "file:///artifacts/datasets/other.npz", "format": "NPZ"}}


def default_of(world: World, number: int) -> str | None:
    """What the encoder pods of a release were told."""
    raw = world.objects["Deployment", f"glyphs-r{number}-encoder"]
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    return variables.get(DEFAULT_INDEX_VARIABLE)


def test_the_index_that_served_stays_the_default_when_another_comes() -> None:
    world = worlds.healthy()
    assert "defaultIndex" not in world.release(1)["spec"] and default_of(world, 1) is None
    world.apply_index("other", **OTHER).run()
    assert world.stage(2) == "Serving"
    assert world.release(2)["spec"]["defaultIndex"] == "glyphs"
    assert default_of(world, 2) == "glyphs"


def test_it_is_kept_over_further_releases_and_goes_with_its_index() -> None:
    world = worlds.healthy().apply_index("other", **OTHER).run()
    world.change_model("training.seed", 7).run()
    assert world.release(3)["spec"]["defaultIndex"] == "glyphs"
    world.remove("VectorIndex", "glyphs")
    world.change_model("training.seed", 8).run()
    assert world.stage(4) == "Serving"
    assert "defaultIndex" not in world.release(4)["spec"], "the only index needs no name"


def test_a_person_chooses_another_and_no_release_is_made_for_it() -> None:
    world = worlds.healthy().apply_index("other", **OTHER).run()
    world.change_model("defaultIndex", "other").run()
    assert not world.has_release(3) and default_of(world, 2) == "other"
    assert world.release(2)["spec"]["defaultIndex"] == "glyphs"


def test_several_indexes_of_a_first_release_have_no_default_until_one_is_named() -> None:
    world = World().apply_model().apply_index().apply_index("other", **OTHER).run()
    assert world.stage(1) == "Serving" and default_of(world, 1) is None
    assert default_of(world.change_model("defaultIndex", "other").run(), 1) == "other"


def test_a_default_that_no_index_has_is_waited_for_and_named() -> None:
    world = World().apply_model(defaultIndex="names").apply_index().settle()
    assert world.says("Ready") == ("False", "NoIndex")
    assert "`spec.defaultIndex` is names" in world.status["message"]
    assert not world.has_release(1)
    assert world.apply_index("names", **OTHER).run().stage(1) == "Serving"
    assert default_of(world, 1) == "names"


def test_deleting_the_addition_undoes_its_release() -> None:
    world = worlds.healthy().apply_index("other", **OTHER).run_to("Indexing", 2)
    world.remove("VectorIndex", "other")
    world.run()
    assert world.stage(2) == "Superseded" and world.stage(1) == "Serving"
    assert world.entry() == "glyphs-r1" and world.says("Ready") == ("True", "Healthy")
