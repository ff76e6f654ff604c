"""The toy stage is entered after Verifying, held for its minute, and left for Warming."""

from __future__ import annotations

from lockstep_operator.api.release import Stage
from lockstep_operator.decide.stage_table import STAGE_TABLE
from tests.unit.additions.checks.support.generated import schema_of
from tests.unit.decide import test_edges_of_the_page as edges
from tests.unit.decide.worlds import World

pytest_plugins = ("tests.unit.decide.conftest",)


def test_a_release_enters_it_and_leaves_it() -> None:
    world = World().apply_model().apply_index().run()
    assert world.stage(1) == "Resting" and "Verifying" in world.reasons()
    assert not world.workloads()
    assert world.look_again_after == 60
    assert world.status["candidate"]["stage"] == "Resting"
    assert "rests a minute" in world.status["message"]
    world.pass_time(61)
    world.run()
    assert world.stage(1) == "Serving" and world.entry() == "glyphs-r1"
    assert world.reasons().index("Resting") + 1 == world.reasons().index("Warming")


def test_verbs_find_it_like_any_stage() -> None:
    world = World().apply_model().apply_index().run()
    world.annotate("abort", "r1").run()
    assert world.stage(1) == "Superseded"
    world.annotate("abort", None).annotate("retry", "r1").settle()
    assert world.stage(1) == "Warming"


def test_the_page_and_the_api_server_know_it() -> None:
    edges.test_the_ways_of_each_stage_are_those_of_its_return_type()
    edges.test_the_other_ways_are_those_of_the_return_types_and_no_row_is_left()
    edges.test_every_stage_on_its_way_has_a_function_of_its_name()
    assert set(STAGE_TABLE) == {None, *Stage}
    stages = schema_of("embeddingreleases", "status.stage")
    assert "Resting" in str(stages)
