"""Edges 23 and 24, by number: the spec goes back, or a third one comes."""

from __future__ import annotations

import copy

import pytest

from tests.unit.decide import worlds

pytestmark = pytest.mark.unit


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
