"""What a sidecar's status says of its pod: why it does not start, and never how it ended."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.jobs.stuck import find_stuck

pytestmark = pytest.mark.unit

DEAD = {"terminated": {"exitCode": 3, "message": "the sidecar's own words"}}


def pod(sidecar: dict[str, Any], main: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "main", "image": "trainer:1"}]},
        "status": {
            "phase": "Running",
            "initContainerStatuses": [{"name": "watcher", "image": "watcher:1", **sidecar}],
            "containerStatuses": [{"name": "main", "image": "trainer:1", **main}],
        },
    }


def test_a_sidecar_that_ended_does_not_end_the_program() -> None:
    assert pod_status.ended(pod({"state": DEAD}, {"state": {"running": {}}})) is None


def test_the_program_ends_whatever_its_sidecar_does() -> None:
    well = {"state": {"terminated": {"exitCode": 0}}}
    for state in ({"state": DEAD}, {"state": {"running": {}}, "ready": True}):
        end = pod_status.ended(pod(state, well))
        assert end is not None and end.exit_code == 0


def test_a_sidecar_that_crashed_is_no_crash_of_the_server() -> None:
    runs = {"state": {"running": {}}, "ready": False}
    crashed = {"state": {"running": {}}, "lastState": DEAD}
    assert pod_status.crashed(pod(crashed, runs)) is None


def test_a_sidecar_that_is_ready_does_not_hide_a_crash_of_the_server() -> None:
    fell = {"terminated": {"exitCode": 70, "message": "out of disk"}}
    waits = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": fell}
    end = pod_status.crashed(pod({"state": {"running": {}}, "ready": True}, waits))
    assert end is not None and (end.exit_code, end.text) == (70, "out of disk")


def test_a_sidecar_whose_image_cannot_be_pulled_holds_the_pod_up() -> None:
    waits = {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    stuck = find_stuck([pod(waits, {"state": {"waiting": {}}})])
    assert stuck is not None and stuck.image == "watcher:1"
