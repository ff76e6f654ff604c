"""A training of several pods: the Service by which they meet."""

from __future__ import annotations

import pytest

from lockstep_operator.manifests import rendezvous_name
from tests.unit.decide import worlds

pytestmark = pytest.mark.unit

SERVICE = ("Service", rendezvous_name("glyphs-r1"))


def test_the_service_comes_with_the_job_and_goes_with_the_model() -> None:
    world = worlds.World()
    training = {**worlds.model_spec()["training"], "distributed": {"pods": 2}}
    world.apply_model(training=training).apply_index().settle()
    assert SERVICE in world.objects
    assert ("Job", "glyphs-r1-train-1") in world.objects
    world.run_to("Evaluating", 1)
    assert SERVICE not in world.objects
