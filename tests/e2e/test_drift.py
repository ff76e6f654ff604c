"""A policy on a real node: it learns the searches of a release, is quiet, and sees other ones."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.load import glyph_queries, start_load
from tests.e2e.support.world import World

QUERIES = 400
POLICY: Object = {
    "apiVersion": "lockstep.dev/v1alpha1",
    "kind": "DriftPolicy",
    "metadata": {"name": "watch"},
    "spec": {
        "targetRef": {"name": "glyphs"},
        "baselineWindows": 6,
        "minSamples": 200,
        "tolerance": "0.1",
        "falseAlarmBudget": {"count": 1, "perSeconds": 3600},
        "actions": [
            {"when": "LowerBound", "do": "Alert"},
            {"when": "LowerBound", "do": "Rebuild"},
        ],
    },
}


@pytest.fixture(scope="module")
def world(make_world: Callable[[str], World]) -> World:
    """Release 1 serves, and is watched in windows of ten seconds."""
    world = make_world("drift")
    world.draw()
    monitoring = {"windowSeconds": 10, "maxPerSecond": 1000}
    world.kube.apply(world.model(monitoring=monitoring), world.index())
    world.until_healthy(1)
    policy = {**POLICY, "metadata": {"name": "watch", "namespace": world.namespace}}
    world.kube.apply(policy)
    return world


def status(world: World) -> Object:
    found = world.kube.get(world.namespace, "driftpolicy", "watch") or {}
    shown: Object = found.get("status") or {}
    return shown


def until(world: World, *states: str, seconds: float = 180) -> Object:
    def reached() -> Object | None:
        found = status(world)
        return found if found.get("state") in states else None

    shown: Object = wait_until(reached, what=f"the policy to be {states}", seconds=seconds)
    return shown


def inverted(query: str) -> str:
    """The same drawing, white on black for black on white."""
    image = Image.open(io.BytesIO(base64.b64decode(query.partition(",")[2])))
    buffer = io.BytesIO()
    ImageOps.invert(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_it_learns_is_quiet_sees_drift_and_rebuilds_when_a_person_says_so(world: World) -> None:
    until(world, "Learning", "NoData")
    queries = glyph_queries(world, 1, QUERIES)
    url = f"http://{world.name}:8080/v1/search"
    load = start_load(world, queries, url=url, name="usual", connections=4)
    found = until(world, "Quiet", seconds=300)
    assert found["message"].startswith("query drift MMD 0.") and "OK" in found["message"]
    learned = world.kube.get(world.namespace, "configmap", "watch-drift")
    assert learned is not None
    (owner,) = learned["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("DriftPolicy", "watch")
    assert load.stop()["failed"] == 0
    others = [inverted(query) for query in queries]
    assert len({*queries, *others}) > 1.5 * QUERIES
    load = start_load(world, others, url=url, name="others", connections=4)
    found = until(world, "Drifting", "WaitingForApproval")
    assert "DRIFT" in found["message"] and np.double(found["value"]) > 0.1
    assert "driftpolicy/watch" in world.em()["status"]["message"]
    request = wait_until(lambda: status(world).get("request"), what="a request")
    assert world.release(2) is None
    approve = f"lockstep.dev/approve={request['id']}"
    world.kube.run("annotate", "-n", world.namespace, "driftpolicy/watch", approve)
    made: Any = wait_until(lambda: world.release(2), what="release 2")
    assert made["spec"]["cause"] == "Drift" and made["spec"]["drift"]["request"] == request["id"]
    assert made["spec"]["drift"]["approvedBy"].startswith("kubectl")
    assert load.stop()["failed"] == 0
    world.until_stage(2, "Serving")
