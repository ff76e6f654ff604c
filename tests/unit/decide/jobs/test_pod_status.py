"""What a pod says: how its program ended, why it waits, whether it crashed."""

from __future__ import annotations

import pytest

from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.jobs.stuck import find_stuck
from tests.unit.decide.jobs.samples import pod

pytestmark = pytest.mark.unit


def test_a_side_container_and_an_init_container_do_not_speak_for_the_program() -> None:
    other = {"name": "proxy", "state": {"terminated": {"exitCode": 1}}}
    assert pod_status.ended(pod(containerStatuses=[other])) is None
    waiting = {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}
    assert find_stuck([pod(phase="Pending", containerStatuses=[waiting])]) is None
    scheduled = {"type": "PodScheduled", "status": "True"}
    assert find_stuck([pod(phase="Pending", conditions=[scheduled])]) is None
    assert find_stuck([pod(phase="Running")]) is None
    assert find_stuck([]) is None


def test_a_server_that_recovered_is_not_crashed() -> None:
    before = {"terminated": {"exitCode": 9, "message": ""}}
    running = {"name": "main", "ready": True, "state": {"running": {}}, "lastState": before}
    assert pod_status.crashed(pod(containerStatuses=[running])) is None
    assert (
        pod_status.crashed(pod(containerStatuses=[{"name": "main", "state": {"running": {}}}]))
        is None
    )
    assert pod_status.crashed(pod()) is None
    down = {**running, "ready": False}
    found = pod_status.crashed(pod(containerStatuses=[down]))
    assert found is not None and found.exit_code == 9


def test_an_image_that_cannot_be_named_is_named_by_the_spec() -> None:
    waiting = {"name": "main", "state": {"waiting": {"reason": "InvalidImageName"}}}
    found = pod(containerStatuses=[waiting])
    found["spec"] = {"containers": [{"name": "main", "image": "UPPER:case"}]}
    stuck = find_stuck([found])
    assert stuck is not None and stuck.sentence() == (
        "pod p cannot pull image UPPER:case (InvalidImageName)"
    )
