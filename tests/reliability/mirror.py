"""Scenarios of copies: Envoy copies requests to a candidate, and nobody sees its answers."""

from __future__ import annotations

import math
import os
import signal
import time
from collections import Counter
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from devcluster.host import envoy
from devcluster.host.host_process import HostProcess
from devcluster.layout import DEFAULT_NAME, Layout
from lockstep_core.protocol import labels
from lockstep_core.protocol import metrics as names
from tests.e2e.support.ground import Ground
from tests.e2e.support.kube import Kube, Object, devcluster, wait_until
from tests.reliability.canary import aborted, linger, record_last_answer
from tests.reliability.gateway import HOST, reach_by_name
from tests.reliability.grounds import KINDS, fresh_world
from tests.reliability.scenario import Story, scenario

PARENT = {"name": "lockstep", "namespace": envoy.NAMESPACE}
COPIED, POINTS = 50, 5
COUNTED_SECONDS = 20
# A person ends each pause, so that what is measured has the time that it needs.
STEPS: list[Object] = [
    {"mirror": COPIED},
    {"pause": {}},
    {"mirror": 0},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {"seconds": 12}},
    {"setWeight": 100},
]
# Places in STEPS, from 0: the pauses, and the first step that gives the candidate an answer.
COPYING, QUIET, WEIGHED, SHARED = 1, 3, 4, 5


def open_envoy(kube: Kube, namespace: str = "reliability-mirror") -> Ground:
    """A Gateway of a class that copies, and that does not list that it does."""
    url = devcluster("envoy-gateway", "up").splitlines()[-1]
    ground = Ground(
        fresh_world(kube, namespace), load_url=f"{url}/v1/search", environment={"HOST": HOST}
    )
    route = {"parentRefs": [PARENT], "hostnames": [HOST], "mirroring": "Trusted"}
    ground.open(rollout={"steps": STEPS, "traffic": {"router": "GatewayAPI", "gateway": route}})
    return ground


KINDS["envoy"] = open_envoy


def searches(ground: Ground, number: int) -> Counter[str]:
    """Searches that the pods of a release answered so far, by status code, as they count them."""
    found: Counter[str] = Counter()
    selector = f"{labels.RELEASE}={ground.name(number)},{labels.COMPONENT}=encoder"
    namespace = ground.world.namespace
    pods = ground.world.kube.list(namespace, "pods", selector)
    assert pods, f"no pods of {selector}"
    for pod in pods:
        place = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        text = ground.world.kube.run("get", "--raw", place)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == names.ENCODER_REQUESTS.name and sample.labels["api"] == "search":
                    found[sample.labels["code"]] += int(sample.value)
    return found


def counted(ground: Ground, number: int, seconds: int) -> tuple[Counter[str], float, float]:
    """What the release's pods answered between two times; both are whole seconds."""
    begun = next_second()
    before = searches(ground, number)
    time.sleep(seconds)
    ended = next_second()
    return searches(ground, number) - before, begun, ended


def next_second() -> float:
    """Waits for it: the load tells how much was answered in each."""
    second = math.ceil(time.time())
    time.sleep(max(0.0, second - time.time()))
    return float(second)


def answers(tally: dict[str, Any], release: str, since: float, until: float) -> int:
    told = tally["seconds"].get(release, {}).items()
    return sum(count for second, count in told if since <= int(second) < until)


def check_copies(story: Story, number: int) -> None:
    """Counts copies for a while, and compares with what clients were answered in that time."""
    ground = story.ground
    stable = ground.name(ground.stable())
    copies, begun, ended = counted(ground, number, COUNTED_SECONDS)

    def check(tally: dict[str, Any]) -> None:
        asked = answers(tally, stable, begun, ended)
        percent = 100 * copies.total() / asked if asked else 0.0
        told = {"requests": asked, "copies": dict(copies), "percent": round(percent, 1)}
        story.numbers["mirrored"] = told
        assert abs(percent - COPIED) <= POINTS, told
        assert set(copies) == {"200"}, told

    story.after(check)


def check_silence(story: Story, number: int) -> None:
    """No copy arrives any more, while clients go on asking."""
    ground = story.ground
    stable = ground.name(ground.stable())
    # The controller says that it acts on a route a moment before Envoy does.
    time.sleep(2)
    copies, begun, ended = counted(ground, number, 5)
    story.numbers["copiesAfterwards"] = copies.total()
    assert not copies, f"{dict(copies)} copies after `mirror: 0`"
    story.after(lambda tally: _is_busy(answers(tally, stable, begun, ended)))


def _is_busy(count: int) -> None:
    assert count > 50, f"only {count} answers while nothing was to be copied"


def check_no_answer(story: Story, number: int) -> None:
    """Clients got no answer of the candidate before the step that gives it a weight began."""
    name = story.ground.name(number)

    def check(tally: dict[str, Any]) -> None:
        weighed = story.ground.held(number, WEIGHED)[0]
        early = answers(tally, name, 0, math.floor(weighed))
        before = sum(answers(tally, r, 0, math.floor(weighed)) for r in tally["seconds"])
        story.numbers["answersWhileMirrored"] = {"of the candidate": early, "of all": before}
        assert early == 0, f"{early} of {before} answers were the candidate's"
        assert answers(tally, name, weighed, math.inf), f"{name} never answered"

    story.after(check)


def promote(ground: Ground, number: int, index: int) -> None:
    """Past the pause that the release is at, until step `index` is under way."""
    # Asking again takes another word.
    ground.world.annotate("promote", f"r{number}.{index}")
    ground.until_step(number, index)


@scenario("mirror: copies arrive, and none is answered", on="envoy")
def mirrored(story: Story) -> None:
    ground = story.ground
    stable, number = ground.stable(), ground.release_next()
    ground.until_step(number, COPYING)
    route = ground.world.kube.get(ground.world.namespace, "httproute", ground.world.name) or {}
    (copied,) = route["spec"]["rules"][-1]["filters"]
    assert copied["requestMirror"]["percent"] == COPIED, copied
    check_copies(story, number)
    # Copies apart, a tester reaches either release, and what a tester asks is not copied.
    reach_by_name(story, stable, number)
    promote(ground, number, QUIET)
    check_silence(story, number)
    promote(ground, number, SHARED)
    ground.until_serves(number)
    story.outcome, story.line = f"r{number} Serving", ground.message()
    linger(story)
    check_no_answer(story, number)


@scenario("mirror: a step waits for a controller that is away", on="envoy")
def controller_away(story: Story) -> None:
    """Envoy goes on with what it was told last, and no step is over before the new is read."""
    ground = story.ground
    number = ground.release_next()
    ground.until_step(number, COPYING)
    promote(ground, number, QUIET)
    controller = HostProcess(Layout(DEFAULT_NAME), envoy.NAME).processes.alive(envoy.NAME)
    assert controller is not None
    os.kill(controller, signal.SIGSTOP)
    try:
        promote(ground, number, WEIGHED)
        # Its pods come first; only then does the operator ask the Gateway for a weight.
        wait_until(lambda: weighed(ground, number), what="a weight in the route", seconds=60)
        time.sleep(5)
        assert ground.step(number) == WEIGHED, ground.status(number)
        assert ground.name(number) not in seen(story), "Envoy took a weight from nobody"
    finally:
        os.kill(controller, signal.SIGCONT)
    back = time.time()
    ground.until_step(number, SHARED)
    story.numbers["backToRead"] = round(time.time() - back, 2)
    story.load.until_seen(ground.name(number))
    verdict = time.time()
    aborted(story, number, "")
    story.outcome, story.line = f"r{number} Superseded", ground.message()
    record_last_answer(story, number, verdict, bar=10)
    check_no_answer(story, number)


def weighed(ground: Ground, number: int) -> bool:
    """Whether the route gives the release a weight, whatever its Gateway makes of it."""
    route = ground.world.kube.get(ground.world.namespace, "httproute", ground.world.name) or {}
    backends = route["spec"]["rules"][-1]["backendRefs"]
    return any(b["name"].startswith(ground.name(number)) and b["weight"] for b in backends)


def seen(story: Story) -> list[str]:
    """Releases that answered the load so far."""
    place = ("exec", "-n", story.ground.world.namespace, story.load.pod)
    return story.ground.world.kube.run(*place, "--", "ls", "/tmp/seen").split()
