"""Scenarios of a Prometheus gate: any figure of a business can stop a candidate."""

from __future__ import annotations

from tests.e2e.support.kube import Object, devcluster
from tests.reliability.canary import record_last_answer
from tests.reliability.defects import stopped, without_gates
from tests.reliability.scenario import Story, scenario


def figure(**bound: str) -> Object:
    """Requests of the candidate's pods in a second, as Prometheus counted them."""
    url = devcluster("prometheus", "up").splitlines()[-1]
    query = (
        'sum(rate(lockstep_encoder_requests_total{lockstep_dev_release="$(release)",'
        'namespace="$(namespace)"}[20s]))'
    )
    gate = {
        "name": "visits",
        "type": "Prometheus",
        "prometheus": {"url": url, "query": query},
        "intervalSeconds": 20,
        **bound,
    }
    steps = [{"setWeight": 25}, {"analysis": {"gates": ["visits"]}}, {"setWeight": 100}]
    return {"rollout": {"gates": [gate], "steps": steps}}


@scenario("prometheus gate passes")
def passes(story: Story) -> None:
    number = story.ground.release_next(**figure(minValue="0.01"))
    try:
        status = story.ground.until_serves(number)
        gates = {gate["name"]: gate for gate in status["gates"]}
        assert gates["visits"]["verdict"] == "Pass", gates
        story.outcome, story.line = f"r{number} Serving", gates["visits"]["line"]
    finally:
        without_gates(story)


@scenario("prometheus gate fails")
def fails(story: Story) -> None:
    ground = story.ground
    number = ground.release_next(**figure(minValue="100000"))
    try:
        stopped(story, number, "Canary", "visits: ")
        verdict = ground.when(number, lambda seen: seen.status.get("stage") == "RollingBack")
        assert verdict is not None
        record_last_answer(story, number, verdict, bar=10)
    finally:
        without_gates(story)
