"""Scenarios of an autoscaler: the load decides how many pods a release has, and the next one."""

from __future__ import annotations

import time

from tests.e2e.support.ground import Ground
from tests.e2e.support.kube import Kube, Object, devcluster, wait_until
from tests.reliability.canary import linger
from tests.reliability.grounds import KINDS, fresh_world
from tests.reliability.scenario import Story, scenario

MOST = 2
# Its loop looks every 15 s, at what the metrics API measured over 10 s before.
PATIENCE_SECONDS = 180


def open_autoscaled(kube: Kube, namespace: str = "reliability-scaled") -> Ground:
    """One encoder pod, and a second one when the first has much to do. No steps: all at once."""
    devcluster("metrics-server", "up")
    ground = Ground(fresh_world(kube, namespace))
    scaling: Object = {
        "minReplicas": 1,
        "maxReplicas": MOST,
        "targetCPUUtilizationPercentage": 80,
        "behavior": {"scaleDownStabilizationSeconds": 0},
    }
    ground.open(serving={"replicas": 1, "autoscaling": scaling}, rollout={"steps": []})
    return ground


KINDS["autoscaled"] = open_autoscaled


def pods(ground: Ground, number: int) -> int:
    """Encoder pods of the release that are ready."""
    name = f"{ground.name(number)}-encoder"
    found = ground.world.kube.get(ground.world.namespace, "deployment", name) or {}
    return int(found.get("status", {}).get("readyReplicas") or 0)


def seconds_until(ground: Ground, number: int, count: int) -> float:
    begun = time.monotonic()
    wait_until(
        lambda: pods(ground, number) == count,
        what=f"{count} pods of r{number}",
        seconds=PATIENCE_SECONDS,
    )
    return round(time.monotonic() - begun, 1)


@scenario("autoscaling: load adds a pod, and the next release starts with as many", on="autoscaled")
def follows_the_load(story: Story) -> None:
    ground, stable = story.ground, story.ground.stable()
    story.numbers["secondsToTwoPods"] = seconds_until(ground, stable, MOST)
    number = ground.release_next()
    ground.until_serves(number)
    # Nothing loaded it while it was the candidate: it is as large as what it replaced all the same.
    story.numbers["podsAtPromotion"] = pods(ground, number)
    assert story.numbers["podsAtPromotion"] == MOST, story.numbers
    story.outcome, story.line = f"r{number} Serving with {MOST} pods", ground.message()
    linger(story)

    def goes_again(_: Object) -> None:
        story.numbers["secondsToOnePod"] = seconds_until(ground, number, 1)

    story.after(goes_again)
