"""The status of a model beside its message."""

from __future__ import annotations

import pytest

from tests.unit.decide import worlds

pytestmark = pytest.mark.unit


def test_transition_times_move_only_with_the_status() -> None:
    world = worlds.healthy()
    since = world.condition("Serving")["lastTransitionTime"]
    world.pass_time(500).change_model("training.seed", 7).settle()
    assert world.condition("Serving")["lastTransitionTime"] == since
    assert world.condition("Ready")["lastTransitionTime"] == world.text()
