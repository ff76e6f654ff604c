"""Who retries what: the Job controller replaces a disrupted pod, and nothing else.

No node runs here; the test plays the kubelet and writes how each pod ended.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.cluster.support.control_plane import ControlPlane
from tests.unit.manifests.support import samples

DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}


def start(control_plane: ControlPlane, namespace: str) -> str:
    job = samples.job("train", samples.model(), samples.release())
    # Its owner is not on this server: the garbage collector would take the Job away.
    metadata = {k: v for k, v in job["metadata"].items() if k != "ownerReferences"}
    found = {**job, "metadata": {**metadata, "namespace": namespace}}
    control_plane.kubectl("create", "-f", "-", stdin=found)
    return str(metadata["name"])


def pods(control_plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    done = control_plane.kubectl("get", "pods", "-n", namespace, "-o", "json")
    found = json.loads(done.stdout)["items"]
    return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def live_pod(control_plane: ControlPlane, namespace: str, *, other_than: str = "") -> str:
    for _ in range(120):
        for pod in pods(control_plane, namespace):
            name = str(pod["metadata"]["name"])
            if pod["status"].get("phase") == "Pending" and name != other_than:
                return name
        time.sleep(0.25)
    raise AssertionError(f"no new pod: {pods(control_plane, namespace)}")


def end(
    control_plane: ControlPlane, namespace: str, pod: str, code: int, *conditions: object
) -> None:
    terminated = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
    container = {
        "name": "main",
        "image": "trainer:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": terminated},
    }
    status = {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [container],
        "conditions": list(conditions),
    }
    control_plane.set_status("pod", pod, namespace, status)


def verdict(control_plane: ControlPlane, namespace: str, job: str) -> dict[str, Any]:
    for _ in range(120):
        status = control_plane.get("job", job, namespace).get("status", {})
        for condition in status.get("conditions", []):
            if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
                return dict(condition)
        time.sleep(0.25)
    raise AssertionError(f"{job} never ended")


@pytest.mark.parametrize(
    ("code", "conditions"), [(137, (DISRUPTED,)), (75, ())], ids=["disrupted", "exit-75"]
)
def test_a_disruption_is_replaced_within_the_attempt(
    control_plane: ControlPlane, namespace: str, code: int, conditions: tuple[object, ...]
) -> None:
    job = start(control_plane, namespace)
    first = live_pod(control_plane, namespace)
    end(control_plane, namespace, first, code, *conditions)
    second = live_pod(control_plane, namespace, other_than=first)
    end(control_plane, namespace, second, 0)
    assert verdict(control_plane, namespace, job)["type"] == "Complete"


@pytest.mark.parametrize("code", [3, 70, 137])
def test_any_other_end_is_the_end_of_the_attempt_and_names_the_code(
    control_plane: ControlPlane, namespace: str, code: int
) -> None:
    job = start(control_plane, namespace)
    end(control_plane, namespace, live_pod(control_plane, namespace), code)
    found = verdict(control_plane, namespace, job)
    assert (found["type"], found["reason"]) == ("Failed", "PodFailurePolicy")
    assert f"exit code {code}" in found["message"]
    assert len(pods(control_plane, namespace)) == 1
