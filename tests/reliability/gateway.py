"""Scenarios of the Gateway API: weights of requests instead of pods, and a header for testers."""

from __future__ import annotations

import time

from tests.e2e.support.ground import Ground
from tests.e2e.support.kube import Kube, devcluster
from tests.e2e.support.load import start_load
from tests.e2e.support.world import World
from tests.reliability.canary import check_weights, linger, record_last_answer
from tests.reliability.grounds import KINDS, fresh_world
from tests.reliability.scenario import Story, scenario

HOST = "glyphs.example"
PARENT = {"name": "lockstep", "namespace": "lockstep-gateway"}


def open_gateway(kube: Kube, namespace: str = "reliability-gateway") -> Ground:
    """The entry is a real gateway, which the load reaches by the route's host name."""
    url = devcluster("gateway", "up").splitlines()[-1]
    world: World = fresh_world(kube, namespace)
    ground = Ground(world, load_url=f"{url}/v1/search", environment={"HOST": HOST})
    route = {"parentRefs": [PARENT], "hostnames": [HOST]}
    ground.open(rollout={"traffic": {"router": "GatewayAPI", "gateway": route}})
    return ground


KINDS["gateway"] = open_gateway


def reach_by_name(story: Story, *numbers: int) -> None:
    """Whatever the weights say, a request that names a release is answered by it."""
    ground = story.ground
    for wanted in numbers:
        tester = start_load(
            ground.world,
            ground.queries,
            url=ground.load_url,
            name=f"tester-r{wanted}",
            connections=1,
            limit=40,
            environment={**ground.environment, "RELEASE": f"r{wanted}"},
        )
        tally = tester.finish()
        assert tally["failed"] == 0, tally["failures"]
        assert set(tally["answers"]) == {ground.name(wanted)}, set(tally["answers"])


@scenario("gateway: promotion by weights, and testers by header", on="gateway")
def promotion(story: Story) -> None:
    ground = story.ground
    stable = ground.stable()
    number = ground.release_next()
    ground.until_step(number, 1)
    reach_by_name(story, stable, number)
    ground.until_serves(number)
    story.outcome, story.line = f"r{number} Serving", ground.message()
    linger(story)
    check_weights(story, number)


@scenario("gateway: abort in the middle", on="gateway")
def abort(story: Story) -> None:
    ground = story.ground
    number = ground.release_next()
    ground.until_step(number, 1)
    story.load.until_seen(ground.name(number))
    verdict = time.time()
    ground.world.annotate("abort", f"r{number}")
    ground.until_stage(number, "Superseded")
    story.outcome, story.line = f"r{number} Superseded", ground.message()
    record_last_answer(story, number, verdict, bar=10)
