"""What a release's pods embed reaches the monitor beside them, and the API server's proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.load import glyph_queries, start_load
from tests.e2e.support.world import World

QUERIES = 24


@pytest.fixture(scope="module")
def world(make_world: Callable[[str], World]) -> World:
    """Release 1 serves, and is watched in windows of ten seconds."""
    world = make_world("monitor")
    world.draw()
    monitoring = {"windowSeconds": 10, "maxPerSecond": 1000}
    world.kube.apply(world.model(monitoring=monitoring), world.index())
    world.until_healthy(1)
    return world


def encoder_pods(world: World) -> list[Object]:
    return world.kube.list(world.namespace, "pod", "lockstep.dev/component=encoder")


def asked(world: World, pod: str, page: str) -> Any:
    """A page of the monitor of a pod, as a person or the operator reads it."""
    proxy = f"/api/v1/namespaces/{world.namespace}/pods/{pod}:9102/proxy"
    return json.loads(world.kube.run("get", "--raw", f"{proxy}{page}"))


def test_searches_are_in_the_sketches_of_the_pod(world: World) -> None:
    (pod,) = encoder_pods(world)
    name = pod["metadata"]["name"]
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["monitor"]
    queries = glyph_queries(world, 1, QUERIES)
    url = f"http://{world.name}:8080/v1/search"
    load = start_load(world, queries, url=url, name="traffic", connections=1, limit=10 * QUERIES)
    tally = load.finish()
    assert tally["failed"] == 0, tally["failures"]

    def summed_up() -> Any:
        windows = asked(world, name, "/v1/report")["windows"]
        seen = sum(each["observed"] for each in windows if each["role"] == "Query")
        return windows if seen >= tally["requests"] else None

    windows = wait_until(summed_up, what="every search to be in a closed window")
    assert sum(each["observed"] for each in windows) == tally["requests"]
    answer = asked(world, name, "/v1/sketch?after=-1")
    assert answer["space"] == world.release(1)["status"]["training"]["spaceID"]  # type: ignore[index]
    assert answer["featuresDigest"].startswith("sha256:") and answer["windowSeconds"] == 10
    # Each drawing is summed up once in a window, however often it was searched for.
    assert all(1 <= each["n"] <= QUERIES for each in answer["sketches"])


def test_the_pod_stays_ready_while_its_monitor_is_killed(world: World) -> None:
    (pod,) = encoder_pods(world)
    name = pod["metadata"]["name"]
    python_of_worker = (
        "import glob,os,re\n"
        "def ours(pid): return b'lockstep-monitor' in open(f'/proc/{pid}/cmdline','rb').read()\n"
        "for path in glob.glob('/proc/[0-9]*/status'):\n"
        "    pid = int(path.split('/')[2])\n"
        "    parent = int(re.search(r'PPid:\\s+(\\d+)', open(path).read())[1])\n"
        "    if parent and ours(pid) and ours(parent): os.kill(pid, 9)\n"
    )
    python = ("--", "/opt/venv/bin/python", "-c", python_of_worker)
    world.kube.run("exec", "-n", world.namespace, name, "-c", "monitor", *python)

    def watches() -> bool:
        try:
            return asked(world, name, "/v1/report")["features"] is not None
        except AssertionError:
            return False

    wait_until(watches, what="the monitor to be back")
    (same,) = encoder_pods(world)
    (monitor,) = same["status"]["initContainerStatuses"]
    assert same["metadata"]["name"] == name and monitor["restartCount"] == 0


def test_monitoring_that_is_turned_off_rolls_in_place(world: World) -> None:
    world.patch("em", {"monitoring": {"enabled": False}})

    def without() -> bool:
        pods = encoder_pods(world)
        return len(pods) == 1 and "initContainers" not in pods[0]["spec"]

    wait_until(without, what="the encoder to run without a monitor")
    assert world.release(2) is None
