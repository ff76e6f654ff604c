"""Scenarios of candidates with a defect: each is stopped by the gate that was made for it."""

from __future__ import annotations

from typing import Any

from tests.e2e.support.ground import RECALL
from tests.e2e.support.kube import Object
from tests.e2e.support.models import Defect
from tests.reliability.canary import record_last_answer
from tests.reliability.scenario import Story, scenario

SAMPLES = 30
ERRORS: Object = {
    "name": "errors",
    "type": "ErrorRatio",
    "maxRatio": "0.05",
    "minSamples": SAMPLES,
    "intervalSeconds": 4,
    "inconclusiveLimit": 10,
}
# The model is slower than this by itself; a healthy one is faster on any machine that runs tests.
LATENCY: Object = {
    "name": "latency",
    "type": "Latency",
    "quantile": "0.90",
    "maxMilliseconds": 1000,
    "minSamples": 10,
    "intervalSeconds": 4,
    "inconclusiveLimit": 10,
}
JUDGED: list[Object] = [
    {"setWeight": 25},
    {"analysis": {"gates": ["errors", "latency"]}},
    {"setWeight": 100},
]
GATES = [RECALL, ERRORS, LATENCY]


def with_gates(**changes: Any) -> Object:
    return {"rollout": {"gates": GATES, "steps": JUDGED, **changes}}


def without_gates(story: Story) -> None:
    """The rollout of the ground again."""
    story.ground.world.patch("em", {"rollout": story.ground.rollout})


def stopped(story: Story, number: int, stage: str, gate: str) -> Object:
    """Waits until the release Failed at the stage, by that gate, and the model says so."""
    ground = story.ground
    ground.until_stage(number, "Failed", seconds=480)
    status = ground.status(number)
    assert status["failedStage"] == stage, status["failedStage"]
    found: Object = ground.until(
        lambda: (s := ground.model_status()).get("phase") == "Degraded" and s,
        what="the model Degraded",
        seconds=30,
    )
    line = str(found["message"])
    assert gate in line, line
    story.outcome, story.line = f"r{number} Failed at {stage}", line
    return status


def by_live_gate(story: Story, number: int, gate: str) -> None:
    ground = story.ground
    stopped(story, number, "Canary", gate)
    verdict = ground.when(number, lambda seen: seen.status.get("stage") == "RollingBack")
    begun = ground.when(number, lambda seen: (seen.status.get("step") or {}).get("index") == 1)
    assert verdict is not None
    assert begun is not None
    story.numbers["analysisToVerdict"] = round(verdict - begun, 1)
    # What waits in a slow encoder's queue is still answered: there is no bar for that.
    record_last_answer(story, number, verdict, bar=None)


@scenario("healthy candidate passes its live gates")
def healthy(story: Story) -> None:
    number = story.ground.release_next(**with_gates())
    try:
        status = story.ground.until_serves(number)
        gates = {g["name"]: g for g in status["gates"]}
        assert {gates[name]["verdict"] for name in ("errors", "latency")} == {"Pass"}, gates
        story.outcome = f"r{number} Serving"
        story.line = "; ".join(f"{name}: {gates[name]['line']}" for name in ("errors", "latency"))
    finally:
        without_gates(story)


@scenario("slow encoder")
def slow(story: Story) -> None:
    number = story.ground.release_next(Defect.SLOW, **with_gates())
    try:
        by_live_gate(story, number, "latency: p90 <= 1000 ms")
    finally:
        without_gates(story)


@scenario("erring encoder")
def erring(story: Story) -> None:
    # Its own answers are all that may fail, and only as long as the gate needs to see it.
    story.own_failures = "the model failed on this input"
    number = story.ground.release_next(Defect.ERRING, **with_gates())
    try:
        by_live_gate(story, number, "errors: 5xx")
    finally:
        without_gates(story)


@scenario("collapsed model")
def collapsed(story: Story) -> None:
    number = story.ground.release_next(Defect.COLLAPSED)
    stopped(story, number, "Evaluating", "relevance: recall@1")


@scenario("worse recall than stable")
def worse_recall(story: Story) -> None:
    number = story.ground.release_next(Defect.FORGETFUL)
    stopped(story, number, "Evaluating", "relevance: recall@1")


@scenario("low index recall")
def low_index_recall(story: Story) -> None:
    ground = story.ground
    # A model that failed would not be indexed: the spec asks for the one that serves.
    ground.world.patch("em", {"artifact": ground.artifact_of(ground.stable())})
    number = ground.newest() + 1
    worst = {"type": "HNSW", "hnsw": {"m": 2, "efConstruction": 1, "efSearch": 1}}
    ground.world.patch("vix", {"index": worst})
    try:
        stopped(story, number, "Verifying", "recall@10")
    finally:
        ground.world.patch("vix", {"index": {"type": "HNSW", "hnsw": None}})
