"""What a training found wrong with itself reaches the person on call."""

from __future__ import annotations

import json

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


FINDINGS = [
    {
        "name": "Overfitting",
        "step": 400,
        "value": 0.39,
        "bound": 0.15,
        "message": "recall@1 is 0.916 on training items but 0.526 on held-out ones",
    },
    {"name": "Collapse", "step": 90, "bound": 0.0, "message": "the loss is nan at step 90"},
]


def trained_with_findings() -> World:
    world = worlds.second("Training")
    facts = json.loads(world.result("glyphs-r2-train-1"))["training"]
    told = world.result("glyphs-r2-train-1", training=facts | {"findings": FINDINGS})
    world.end_job("glyphs-r2-train-1", message=told)
    return world.settle()


def test_findings_stand_in_the_message_while_the_release_is_judged() -> None:
    world = trained_with_findings()
    assert world.stage(2) == "Evaluating"
    said = world.status["message"]
    for found in FINDINGS:
        assert f"Its training tells {found['name']}: {found['message']}." in said
        events = [e for e in world.events if str(e.reason) == "TrainingFinding"]
        assert any(found["message"] in str(e) for e in events)
    assert world.record(2)["training"]["findings"] == FINDINGS


def test_findings_stand_beside_what_serves_and_beside_a_gate_that_failed() -> None:
    world = trained_with_findings()
    world.run()
    assert world.stage(2) == "Serving"
    short = "Overfitting (0.390, bound 0.150), Collapse (not finite, bound 0.000)"
    assert (
        f"Its training told {short}: see `status.training` of glyphs-r2."
        in (world.status["message"])
    )

    world = trained_with_findings()
    world.recall = 0.5
    world.run()
    assert world.stage(2) == "Failed"
    assert "Its training tells Overfitting: recall@1 is 0.916" in world.status["message"]


def test_a_clean_training_says_nothing() -> None:
    world = worlds.healthy()
    assert "training told" not in world.status["message"]
    assert "TrainingFinding" not in [str(event.reason) for event in world.events]
