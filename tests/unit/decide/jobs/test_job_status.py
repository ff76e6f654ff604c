"""What a Job and its pods say together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program, Result
from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.jobs.job_status import JobState, Retry, read_job
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.manifests import JobKind
from tests.unit.decide.jobs.samples import NOW, pod

pytestmark = pytest.mark.unit


def job(kind: str, **condition: Any) -> dict[str, Any]:
    since = {"lastTransitionTime": clock.text(NOW)}
    conditions = [{"type": kind, "status": "True", **since, **condition}]
    return {"metadata": {"name": "j"}, "spec": {}, "status": {"conditions": conditions}}


def test_a_complete_job_waits_for_its_pod_and_is_run_again_when_it_never_comes() -> None:
    report = read_job(job("Complete"), [], JobKind.TRAIN, NOW)
    assert report.state is JobState.UNCLEAR and report.look_again_in == 15
    report = read_job(job("Complete"), [], JobKind.TRAIN, NOW + timedelta(seconds=20))
    assert report.state is JobState.FAILED and report.retry is Retry.UNCOUNTED


def test_of_several_pods_of_one_job_the_one_that_decides_is_read() -> None:
    def ended(code: int, name: str, **more: Any) -> dict[str, Any]:
        terminated = {"exitCode": code, "message": "words"}
        containers = [{"name": "main", "state": {"terminated": terminated}}]
        found = pod(phase="Failed", containerStatuses=containers, **more)
        found["metadata"]["name"] = name
        return found

    first, last = ended(75, "a"), ended(3, "b")
    report = read_job(job("Failed"), [first, last], JobKind.TRAIN, NOW)
    assert (report.exit_code, report.pod, report.retry) == (3, "b", Retry.NEVER)
    # A pod that is still seen running, or that ended well, says nothing about the failure.
    running, well = pod(phase="Running"), ended(0, "c")
    report = read_job(job("Failed"), [running, well], JobKind.TRAIN, NOW)
    assert report.state is JobState.UNCLEAR


def test_a_check_that_failed_speaks_for_the_program_that_never_began() -> None:
    said = Result(
        program=Program.TRAIN, exit_code=ExitCode.BAD_DATASET, reason="BadDataset", message="why"
    )
    terminated = {"exitCode": 3, "message": said.to_json()}
    check = {"name": "validate", "state": {"terminated": terminated}}
    waiting = {"name": "main", "state": {"waiting": {"reason": "PodInitializing"}}}
    found = pod(phase="Failed", initContainerStatuses=[check], containerStatuses=[waiting])
    report = read_job(job("Failed"), [found], JobKind.TRAIN, NOW)
    assert (report.exit_code, report.reason, report.message) == (3, "BadDataset", "why")
    assert report.retry is Retry.NEVER and report.pod == "p"
    # One that ended well, or another's, says nothing.
    for name, code in (("validate", 0), ("istio-init", 1)):
        other = {"name": name, "state": {"terminated": {"exitCode": code}}}
        running = pod(phase="Running", initContainerStatuses=[other], containerStatuses=[waiting])
        assert pod_status.ended(running) is None
