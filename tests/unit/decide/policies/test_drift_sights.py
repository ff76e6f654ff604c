"""The live recall of a model's indexes: judged, told, answered to, and over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockstep_core.protocol.drift import RecallBound, RecallReport, Seen
from lockstep_operator.api.objects import Object
from tests.unit.decide import worlds
from tests.unit.decide.policies import watched as w

pytestmark = pytest.mark.unit

BOUND = RecallBound(minimum=0.95)
RECALL = {"min": "0.950"}
ALERT = {"when": "RecallBelow", "do": "Alert"}
REBUILD = {"when": "RecallBelow", "do": "Rebuild"}
GOOD = RecallReport("glyphs", BOUND, 812, 0.987, 0.981, 0.992)
LOW = RecallReport("glyphs", BOUND, 812, 0.931, 0.924, 0.938)
UNSURE = RecallReport("glyphs", BOUND, 812, 0.948, 0.941, 0.955)
FEW = RecallReport("glyphs", BOUND, 12, 0.5, 0.3, 0.7)


def watched(*actions: dict[str, Any], **spec: Any) -> worlds.World:
    return w.watched(recall=RECALL, actions=list(actions or (ALERT,)), **spec)


def show(world: worlds.World, *recalls: RecallReport) -> Object:
    return w.show(world, w.role(), recalls=recalls)


def test_the_bound_is_part_of_what_is_watched() -> None:
    (watch,) = w.watched(recall={"min": "0.9", "spanSeconds": 700, "minQueries": 50}).plan.watch
    assert watch.parameters.recall == RecallBound(0.9, windows=3, min_queries=50)
    (watch,) = w.watched().plan.watch
    assert watch.parameters.recall is None


def test_the_line_has_number_interval_bound_and_verdict() -> None:
    world = watched()
    drift = "query drift MMD 0.012 [0.000, 0.019] <= 0.030 OK; n=1000/5m; "
    message = show(world, GOOD)["message"]
    assert message.startswith(drift)
    assert message.endswith("index recall@10 0.987 [0.981, 0.992] >= 0.950 OK; n=812/1h")
    assert "0.948 [0.941, 0.955] < 0.950 not shown; n=812" in show(world, UNSURE)["message"]
    above = replace(GOOD, lower=0.9499)
    assert ">= 0.950 OK (not shown); n=812" in show(world, above)["message"]
    few = show(world, FEW)["message"]
    assert "index recall@10 has no verdict: 12 of 300 searches in 1h" in few
    both = show(world, GOOD, replace(LOW, index="songs"))["message"]
    assert "index glyphs recall@10 0.987" in both and "index songs recall@10 0.931" in both


def test_the_life_of_a_low_recall() -> None:
    world = watched()
    status = show(world, GOOD)
    assert status["state"] == "Quiet" and w.condition(world, "RecallHolds") == (
        "True",
        "RecallHolds",
    )
    world.events.clear()
    status = show(world, LOW)
    assert (status["state"], status["phase"]) == ("RecallLow", "Degraded")
    assert "0.931 [0.924, 0.938] < 0.950 LOW; n=812/1h" in status["message"]
    assert status["message"].endswith("See docs/runbooks/recall-low.md")
    assert w.condition(world, "RecallHolds") == ("False", "RecallLow")
    assert w.condition(world, "NoDrift") == ("True", "Quiet")
    assert w.condition(world, "Ready") == ("True", "RecallLow")
    told = [(event.about.kind, event.reason) for event in world.events]
    assert told == [("DriftPolicy", "RecallLow"), ("EmbeddingModel", "RecallLow")]
    assert "finds less than its bound: see driftpolicy/watch" in world.status["message"]
    assert "drifts from" not in world.status["message"]
    show(world, LOW)
    assert len(world.events) == 2
    assert show(world, UNSURE)["state"] == "Quiet"
    assert [event.reason for event in world.events[2:]] == ["RecallHolds"]


def test_one_that_is_not_judged_is_neither_low_nor_whole() -> None:
    world = watched()
    show(world, FEW)
    assert w.condition(world, "RecallHolds") is None and w.status(world)["state"] == "Quiet"


def test_drift_comes_first_and_both_are_told() -> None:
    world = w.watched(recall=RECALL, actions=[ALERT, {"when": "Evidence", "do": "Alert"}])
    show(world, LOW)
    world.events.clear()
    w.show(world, w.role(0.052, seen=(Seen.EVIDENCE,)), recalls=(LOW,))
    assert w.status(world)["state"] == "Drifting"
    assert [event.reason for event in world.events] == ["Drifting", "Drifting"]
    assert w.condition(world, "RecallHolds") == ("False", "RecallLow")
    # The drift ends, and what is left is told.
    show(world, LOW)
    assert w.status(world)["state"] == "RecallLow"
    assert [event.reason for event in world.events[2:]] == ["Quiet"]


def test_nothing_is_told_where_no_alert_is_asked_for() -> None:
    world = w.watched(recall=RECALL, actions=[])
    show(world, GOOD)
    world.events.clear()
    assert show(world, LOW)["state"] == "RecallLow" and not world.events


def test_a_rebuild_waits_for_a_person_and_is_withdrawn_when_recall_holds() -> None:
    world = watched(REBUILD)
    status = show(world, LOW)
    assert status["state"] == "WaitingForApproval"
    assert (
        status["request"]["id"].startswith("rebuild-r1-") and "Rebuild waits" in status["message"]
    )
    assert show(world, FEW)["request"], "what is not judged is not over"
    status = show(world, GOOD)
    assert "request" not in status
    assert status["actions"][0]["outcome"] == "withdrawn: recall holds again"


def test_a_rebuild_that_is_approved_is_made() -> None:
    world = watched(REBUILD)
    request = show(world, LOW)["request"]["id"]
    w.annotate(world, "approve", request)
    made = world.objects["EmbeddingRelease", "glyphs-r2"]["spec"]
    assert made["cause"] == "Drift" and made["drift"]["request"] == request


def test_a_request_of_drift_is_not_kept_by_a_low_recall() -> None:
    world = w.watched(recall=RECALL, actions=[{"when": "Evidence", "do": "Rebuild"}])
    w.drift(world)
    assert "request" in w.status(world)
    assert "request" not in show(world, LOW)


def test_a_candidate_is_held_while_recall_is_low() -> None:
    world = watched({"when": "RecallBelow", "do": "Pause"})
    assert show(world, LOW)["pauses"] == "RecallBelow"
    assert "pauses" not in show(world, GOOD)


@pytest.mark.parametrize(
    "model, words",
    [
        ({"monitoring": {"recall": {"perMinute": 0}}}, "`spec.monitoring.recall.perMinute`"),
        ({"monitoring": {"recall": {"k": 20}}}, "`spec.recall.k` is 10"),
    ],
)
def test_what_cannot_be_judged_says_so(model: dict[str, Any], words: str) -> None:
    world = w.watched(model, recall=RECALL, actions=[ALERT])
    (watch,) = world.plan.watch
    assert watch.parameters.recall is None
    status = show(world)
    assert "index recall is not judged" in status["message"] and words in status["message"]
    assert status["state"] == "Quiet"


def test_after_a_restart_a_low_recall_is_not_told_again() -> None:
    world = watched()
    show(world, LOW)
    before = len(world.events)
    world.restart()
    world.settle()
    assert w.status(world)["state"] == "RecallLow"
    show(world, LOW)
    assert len(world.events) == before
