"""A training as it is seen from outside: its pods, their progress, what came of it."""

from __future__ import annotations

import json

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.world import World


def training_pods(world: World) -> list[Object]:
    selector = f"lockstep.dev/release={world.name}-r1,lockstep.dev/component=train"
    return world.kube.list(world.namespace, "pods", selector)


def steps_done(world: World, pod: Object) -> int:
    """What `/progress` of the pod says, through the API server; 0 before it trains."""
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{world.namespace}/pods/{name}:9100/proxy/progress"
    text = world.kube.run("get", "--raw", path, check=False)
    progress = json.loads(text) if text.startswith("{") else {}
    return int(progress.get("done", 0)) if progress.get("phase") == "Training" else 0


def trained(world: World, seconds: float = 300) -> Object:
    """The facts of release 1's training."""

    def look() -> Object | None:
        status = (world.release(1) or {}).get("status") or {}
        assert status.get("stage") != "Failed", status.get("message")
        facts: Object | None = status.get("training")
        return facts

    what = f"{world.name}-r1 to be trained"
    found: Object = wait_until(look, what=what, seconds=seconds)
    return found
