"""Edge 25: a person goes back to a kept release, and the spec does not fight it."""

from __future__ import annotations

import pytest

from tests.unit.decide import worlds

pytestmark = pytest.mark.unit


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
