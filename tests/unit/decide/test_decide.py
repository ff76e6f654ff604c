"""One pass as a function: it changes nothing that it was given."""

from __future__ import annotations

import copy

import pytest

from tests.unit.decide import worlds

pytestmark = pytest.mark.unit


def test_deciding_changes_nothing_that_it_was_given() -> None:
    world = worlds.second("Warming")
    before = copy.deepcopy(world.objects)
    world.decide()
    assert world.objects == before
