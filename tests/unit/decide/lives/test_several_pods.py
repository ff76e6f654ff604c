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


def test_more_processes_than_the_frozen_batch_has_items_are_told_and_wait() -> None:
    """The spec is right by itself: the release that trains was frozen with another batch."""
    training = worlds.model_spec()["training"]
    small = training | {"batch": {"classes": 4, "perClass": 2}}
    world = worlds.World().apply_model(training=small, rollout={"supersede": "Queue"})
    world.apply_index().settle()
    world.end_job("glyphs-r1-train-1", code=70)
    world.settle()
    large = {"batch": {"classes": 16, "perClass": 2}, "distributed": {"pods": 16}}
    world.change_model("training", training | large).settle().pass_time(60).settle()
    assert world.stage(1) == "Training"
    assert "its Job cannot be made with the spec as it is now" in world.status["message"]
    assert (
        "`distributed.pods` x `distributed.processesPerPod` must not exceed"
        in (world.status["message"])
    )
    world.change_model("training.distributed", {"pods": 8}).settle()
    assert world.jobs() == ["glyphs-r1-train-2"]
