"""The Job of an attempt, and who retries what."""

from __future__ import annotations

import pytest

from tests.unit.manifests.support.built import (
    container_of,
    jobs,
    pod_of,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("kind", ["train", "import", "evaluate", "build"])
def test_a_job_is_one_attempt(kind: str) -> None:
    job = jobs()[kind]
    spec = job["spec"]
    assert spec["backoffLimit"] == 0 and "ttlSecondsAfterFinished" not in spec
    assert pod_of(job)["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"
    assert job["metadata"]["labels"]["lockstep.dev/attempt"] == "1"
    assert {"name": "progress", "containerPort": 9100, "protocol": "TCP"} in container_of(job)[
        "ports"
    ]
    disruption, *codes = spec["podFailurePolicy"]["rules"]
    assert disruption["action"] == "Ignore"
    ours = ["main", "validate"] if kind == "train" else ["main"]
    names = [
        c["name"] for c in (*pod_of(job)["containers"], *pod_of(job).get("initContainers", ()))
    ]
    assert names == ours
    for name, preempted, failure in zip(ours, codes[::2], codes[1::2], strict=True):
        for rule in (preempted, failure):
            assert rule["onExitCodes"]["containerName"] == name
            assert rule["onExitCodes"]["values"] == [75]
        assert (preempted["action"], preempted["onExitCodes"]["operator"]) == ("Ignore", "In")
        assert (failure["action"], failure["onExitCodes"]["operator"]) == ("FailJob", "NotIn")
