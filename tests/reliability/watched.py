"""The ground of drift: every pod is watched in windows of ten seconds, and queries are drawn."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from lockstep_core.protocol import metrics as names
from lockstep_core.protocol.environment import MONITOR_PORT
from tests.e2e.support.ground import CONNECTIONS, Ground
from tests.e2e.support.kube import Kube, Object, wait_until
from tests.e2e.support.load import Load, start_load
from tests.reliability.defects import LATENCY
from tests.reliability.grounds import KINDS, fresh_world
from tests.reliability.scenario import Story

CHARACTERS, WINDOW_SECONDS, BASELINE_WINDOWS = 150, 10, 6
# Learning takes six windows of traffic, and the operator looks a moment after each.
PATIENCE_SECONDS = (BASELINE_WINDOWS + 12) * WINDOW_SECONDS
REFERRED = 200


class WatchedGround(Ground):
    """Queries are drawn from all drawings; behind them come their negatives."""

    def under_load(self) -> Load:
        environment = {
            "PAUSE": "0.05",
            "REUSE": "10",
            "REFERENCES": "http://{release}-encoder:8080/v1/search",
            # They are searches too: of the usual kind, and spread over it.
            "REFERRED": json.dumps([0, self.drawings, self.drawings // REFERRED]),
            "DRAWINGS": "/artifacts/datasets/glyphs.npz",
            "MIX": json.dumps([(0, self.drawings, 1)]),
        }
        return start_load(
            self.world,
            [],
            url=self.load_url,
            connections=CONNECTIONS,
            environment=environment,
        )


def open_watched(kube: Kube, namespace: str = "reliability-drift") -> Ground:
    """Two pods; a release is promoted at once."""
    world = fresh_world(kube, namespace)
    ground = WatchedGround(world, characters=CHARACTERS, is_watched=True)
    monitoring = {"windowSeconds": WINDOW_SECONDS, "maxPerSecond": 1000}
    ground.open(serving={"replicas": 2}, monitoring=monitoring, rollout={"steps": []})
    return ground


KINDS["watched"] = open_watched


def watch(story: Story, name: str, **spec: Any) -> None:
    """Makes the policy; `spec` is laid over what all of them have. It learns what comes from now
    on: windows of scenarios before would be learned too."""
    world = story.ground.world
    anew = {"lockstep.dev/rebaseline": f"r{story.ground.stable()}"}
    policy: Object = {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": "DriftPolicy",
        "metadata": {"name": name, "namespace": world.namespace, "annotations": anew},
        "spec": {"targetRef": {"name": world.name}, **spec},
    }
    world.kube.apply(policy)


def forget(story: Story, name: str) -> None:
    story.ground.world.kube.run("delete", "drift", name, "-n", story.ground.world.namespace)


def learned(story: Story, name: str = "traffic") -> Object:
    """Its status, once the policy of that name has learned the usual traffic and is Quiet in it."""
    watch(story, name, baselineWindows=BASELINE_WINDOWS)
    return until_state(story, "Quiet", name=name)


def status(story: Story, name: str = "traffic") -> Object:
    world = story.ground.world
    found = world.kube.get(world.namespace, "driftpolicy", name) or {}
    shown: Object = found.get("status") or {}
    return shown


def until_state(
    story: Story, *states: str, name: str = "traffic", seconds: float = PATIENCE_SECONDS
) -> Object:
    """The status of the policy once it is at one of the states, in a window of this load."""
    since = int(time.time()) // WINDOW_SECONDS

    def reached() -> Object | None:
        found = status(story, name)
        is_new = (stored(story, name) or {}).get("window") or 0
        return found if found.get("state") in states and is_new >= since else None

    try:
        shown: Object = wait_until(reached, what=f"{name} to be {states}", seconds=seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {status(story, name).get('message')}") from None
    story.line = str(shown["message"])
    return shown


def windows_since(begun: float) -> int:
    """How many windows ended between a time and now."""
    return int(time.time()) // WINDOW_SECONDS - int(begun) // WINDOW_SECONDS


def stays_quiet(story: Story, windows: int, name: str, each: Callable[[], None]) -> None:
    """Looks at so many windows one after the other; `each` is called at the begin of each."""
    state, seen = stored(story, name), 0
    last = state["window"] if state else 0
    greatest = 0.0
    while seen < windows:
        each()
        last = until_window(story, last, name)["window"]
        seen += 1
        shown = status(story, name)
        assert shown["state"] == "Quiet", shown["message"]
        greatest = max(greatest, float(shown["value"]))
    story.line = str(status(story, name)["message"])
    story.numbers["greatestValue"], story.numbers["windows"] = greatest, seen
    story.numbers["tolerance"] = float(status(story, name)["tolerance"])


def stored(story: Story, name: str = "traffic") -> Object | None:
    """What the operator has learned, as it lies in the policy's ConfigMap."""
    world = story.ground.world
    found = world.kube.get(world.namespace, "configmap", f"{name}-drift")
    return json.loads(found["data"]["state.json"]) if found else None


def evidence(story: Story, name: str = "traffic") -> Object:
    """The evidence of searches that is stored: `windows` counted, `logK`, `baselineDigest`."""
    state = stored(story, name)
    assert state is not None, f"ConfigMap {name}-drift is not there"
    found: Object = state["roles"][0]["evidence"]
    return found


def until_window(story: Story, after: int, name: str = "traffic", seconds: float = 60) -> Object:
    """What is stored once a window after that one was judged."""

    def look() -> Object | None:
        state = stored(story, name)
        return state if state is not None and (state["window"] or 0) > after else None

    found: Object = wait_until(look, what=f"window {after + 1} to be judged", seconds=seconds)
    return found


def encoder_pods(story: Story) -> list[str]:
    """Names of the pods of the release that serves."""
    ground = story.ground
    selector = f"lockstep.dev/component=encoder,lockstep.dev/release={ground.name(ground.stable())}"
    pods = ground.world.kube.list(ground.world.namespace, "pod", selector)
    return sorted(pod["metadata"]["name"] for pod in pods)


def in_monitor(story: Story, pod: str, code: str) -> str:
    """Runs Python beside the monitor of a pod; what it printed."""
    python = ("-c", "monitor", "--", "/opt/venv/bin/python", "-c", code)
    return story.ground.world.kube.run("exec", "-n", story.ground.world.namespace, pod, *python)


def signal_worker(story: Story, pod: str, number: int) -> None:
    """Signals the process of the monitor that sums up; another one keeps it running."""
    in_monitor(
        story,
        pod,
        "import glob,os,re\n"
        "def ours(pid): return re.search(b'lockstep.monitor',"
        " open(f'/proc/{pid}/cmdline','rb').read())\n"
        "sent = 0\n"
        "for path in glob.glob('/proc/[0-9]*/status'):\n"
        "    pid = int(path.split('/')[2])\n"
        "    parent = int(re.search(r'PPid:\\s+(\\d+)', open(path).read())[1])\n"
        "    if pid != os.getpid() and parent and ours(pid) and ours(parent):\n"
        f"        os.kill(pid, {number}); sent += 1\n"
        "assert sent == 1, sent\n",
    )


def page(story: Story, pod: str, port: int, path: str) -> str:
    world = story.ground.world
    place = f"/api/v1/namespaces/{world.namespace}/pods/{pod}:{port}/proxy{path}"
    return world.kube.run("get", "--raw", place)


def windows_of(story: Story, pod: str) -> dict[int, int]:
    """The closed windows of searches that the monitor of a pod has, and how many each observed."""
    told = json.loads(page(story, pod, MONITOR_PORT, "/v1/report"))["windows"]
    return {each["window"]: each["observed"] for each in told if each["role"] == "Query"}


def dropped(story: Story, pod: str) -> dict[str, int]:
    """Embeddings that the encoder could not hand over so far, by reason."""
    text = page(story, pod, 8080, "/metrics")
    return {
        sample.labels["reason"]: int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == names.ENCODER_MONITOR_DROPPED.name
    }


def restarts(story: Story) -> int:
    """Of all containers of the encoder pods."""
    ground = story.ground
    count = 0
    for name in encoder_pods(story):
        pod = ground.world.kube.get(ground.world.namespace, "pod", name) or {}
        told = pod["status"]
        for one in (*told["containerStatuses"], *told.get("initContainerStatuses", ())):
            count += one["restartCount"]
    return count


def bounded(story: Story) -> None:
    """Nothing waited for a monitor: the answers are as fast as the latency gate asks."""
    most = LATENCY["maxMilliseconds"]

    def check(tally: Object) -> None:
        p95 = tally["milliseconds"]["p95"]
        assert p95 < most, f"p95 {p95} ms, {most} at most"

    story.after(check)
