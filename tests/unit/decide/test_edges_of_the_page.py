"""The page of the release machine tells every way from stage to stage, and no other."""

from __future__ import annotations

from typing import Literal

import pytest

from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import Enter, Fail, Stay
from lockstep_operator.decide.snapshot.snapshot import read
from lockstep_operator.decide.stage_table import STAGE_TABLE
from lockstep_operator.decide.stages.advance import STAGES
from tests.unit.decide import edges, worlds

pytestmark = pytest.mark.unit


def test_the_ways_of_each_stage_are_those_of_its_return_type() -> None:
    told, stages = edges.told(), edges.of_stages()
    assert {place: told.get(place) for place in stages} == stages
    assert len(stages) >= 11


def test_the_other_ways_are_those_of_the_return_types_and_no_row_is_left() -> None:
    told, stages, others = edges.told(), edges.of_stages(), edges.of_others()
    assert {place: {to for _, to in told.get(place, ())} for place in others} == others
    assert told.keys() == stages.keys() | others.keys()
    assert len(others) >= 6


def test_every_stage_on_its_way_has_a_function_of_its_name() -> None:
    for stage, facts in STAGE_TABLE.items():
        assert (stage in STAGES) == (facts.on_its_way or facts.serves)
        if stage in STAGES:
            name = "begin" if stage is None else stage.name.lower()
            assert STAGES[stage].__name__ == name
            assert STAGES[stage].__module__.endswith(f"decide.stages.{name}")


def test_targets_are_read_from_types() -> None:
    def moves() -> Stay | Enter[Literal[Stage.WARMING, Stage.CANARY]] | Fail:
        return Stay()

    def rests() -> Stay:
        return Stay()

    assert edges.targets_of(moves) == {Stage.WARMING, Stage.CANARY, Stage.FAILED}
    assert edges.targets_of(rests) == set()


def test_a_way_that_is_not_on_the_page_fails_a_test() -> None:
    world = worlds.healthy()
    context = ReconcileContext(read(world.observed(), world.settings, world.now))
    with pytest.raises(AssertionError, match="Serving -> Training"):
        context.enter("glyphs-r1", Stage.TRAINING)
