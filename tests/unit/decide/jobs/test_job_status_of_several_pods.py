"""Which of the pods of one training speaks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lockstep_operator.decide.jobs.job_pods import COMPLETION_INDEX
from lockstep_operator.decide.jobs.job_status import JobState, Retry, read_job
from lockstep_operator.manifests import JobKind
from tests.unit.decide import worlds

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
JOB = {"metadata": {"name": "j", "namespace": "n", "uid": "u"}, "spec": {}}


def pod(index: int, at: int, status: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        "name": f"j-{index}-{at}",
        "creationTimestamp": f"2026-01-31T11:00:{at:02}Z",
        "annotations": {COMPLETION_INDEX: str(index)},
    }
    return {"metadata": metadata, "spec": {"containers": [{"image": "i"}]}, "status": status}


def ended(code: int, message: str = "words") -> dict[str, Any]:
    terminated = {"exitCode": code, "message": message}
    containers = [{"name": "main", "state": {"terminated": terminated}}]
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": containers}


def over(kind: str) -> dict[str, Any]:
    condition = {"type": kind, "status": "True", "lastTransitionTime": "2026-01-31T11:59:59Z"}
    return {**JOB, "status": {"conditions": [condition]}}


def test_the_pod_that_failed_by_itself_is_the_cause() -> None:
    # Pod 0 missed it and ended later, as preempted.
    found = [pod(1, 1, ended(3)), pod(0, 2, ended(75))]
    report = read_job(over("Failed"), found, JobKind.TRAIN, NOW)
    assert (report.exit_code, report.pod, report.retry) == (3, "j-1-1", Retry.NEVER)


def test_the_pod_that_left_a_result_speaks_for_all() -> None:
    world = worlds.second("Training")
    told = world.result("glyphs-r2-train-1")
    found = [pod(0, 1, ended(0, told)), pod(1, 2, ended(0, ""))]
    report = read_job(over("Complete"), found, JobKind.TRAIN, NOW)
    assert (report.state, report.pod) == (JobState.COMPLETE, "j-0-1")


def test_any_pod_that_fits_no_node_is_told_and_one_that_was_replaced_is_not() -> None:
    unfit = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m"}
    waits = {"phase": "Pending", "conditions": [unfit]}
    running = {"phase": "Running"}
    report = read_job(JOB, [pod(0, 1, waits), pod(1, 2, running)], JobKind.TRAIN, NOW)
    assert (report.state, report.pod) == (JobState.STUCK, "j-0-1")
    replaced = [pod(0, 1, waits), pod(0, 3, running), pod(1, 2, running)]
    assert read_job(JOB, replaced, JobKind.TRAIN, NOW).state is JobState.RUNNING
