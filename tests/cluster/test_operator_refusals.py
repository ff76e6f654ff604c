"""Specs that no schema can refuse: the operator says what is wrong and what mends it.

One operator for all of them, each under names of its own. No node runs here, so the test says for
the scheduler and the kubelet what they say of a pod that lacks something. Data that are missing or
changed are found by the trainer, on a real node.
"""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.support.bad_specs import OPERATOR_REFUSES, OperatorRefusal
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.operator_process import OperatorProcess, chart_kubeconfig, wait_for
from tests.cluster.support.specs import GOOD_INDEX, GOOD_MODEL, spoiled

TOLD_BY_A_NODE = ("data-missing", "data-changed")
HERE = tuple(r for r in OPERATOR_REFUSES if r.name not in TOLD_BY_A_NODE)


def _unschedulable(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"conditions": [condition | {"message": message, "lastTransitionTime": now}]}


def _waiting(image: str, reason: str, message: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": image,
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    return {"containerStatuses": [container]}


# What a scheduler and a kubelet of Kubernetes 1.34 write of such a pod.
POD_STATUS = {
    "claim-missing": _unschedulable(
        '0/1 nodes are available: persistentvolumeclaim "no-such-claim" not found. preemption:'
        " 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    ),
    "secret-missing": _waiting(
        "lockstep.local/trainer:test",
        "CreateContainerConfigError",
        'secret "no-such-secret" not found',
    ),
    "image-missing": _waiting(
        "lockstep.invalid/trainer:none",
        "ErrImagePull",
        "dial tcp: lookup lockstep.invalid: no such host",
    ),
}


def _objects(number: int, refusal: OperatorRefusal) -> list[dict[str, Any]]:
    """The model and its index as `refusal` spoils them, renamed so that all live side by side."""
    name = f"case-{number}"
    found = [spoiled(GOOD_MODEL, {**refusal.model, "metadata.name": name})]
    if refusal.index is not None:
        reference = {"spec.modelRef.name": name} | refusal.index
        found.append(spoiled(GOOD_INDEX, {**reference, "metadata.name": name}))
    return found


@pytest.fixture(scope="module")
def refused(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ControlPlane, str]]:
    """A namespace with every bad spec in it, and an operator that looks at it."""
    namespace, folder = f"t-{uuid.uuid4().hex[:10]}", tmp_path_factory.mktemp("refusals")
    control_plane.kubectl("create", "namespace", namespace)
    operator = OperatorProcess(
        kubeconfig=chart_kubeconfig(control_plane, namespace, folder),
        log=folder / "operator.log",
        namespaces=(namespace,),
        lease_namespace=namespace,
    ).start()
    try:
        wait_for("the operator leads", operator.leads, 45)
        items = [o for number, refusal in enumerate(HERE) for o in _objects(number, refusal)]
        listed = {"apiVersion": "v1", "kind": "List", "items": items}
        control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=listed)
        yield control_plane, namespace
        bad = [line for line in operator.lines() if line["level"] == "error"]
        assert bad == [], "a bad spec is no defect of the operator"
    finally:
        operator.stop(signal.SIGKILL)
        control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("refusal", HERE, ids=lambda refusal: refusal.name)
def test_the_operator_names_the_field_and_the_fix(
    refused: tuple[ControlPlane, str], refusal: OperatorRefusal
) -> None:
    control_plane, namespace = refused
    name = f"case-{HERE.index(refusal)}"
    if refusal.name in POD_STATUS:
        _play_the_node(control_plane, namespace, f"{name}-r1-train-1", POD_STATUS[refusal.name])

    def told() -> dict[str, Any] | None:
        status = control_plane.get(refusal.kind, name, namespace).get("status") or {}
        ready = [c for c in status.get("conditions") or [] if c["type"] == "Ready"]
        return next((c for c in ready if all(w in c["message"] for w in refusal.message)), None)

    ready = wait_for(f"Ready says {refusal.message}", told, 30)
    assert ready["status"] == "False"
    assert ready["reason"] not in ("", "Healthy")
    found = control_plane.get(refusal.kind, name, namespace)
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert found["status"]["message"] == ready["message"], "the status says it in one place"


def test_a_claim_that_is_mended_in_the_spec_starts_a_release_that_can_run(
    refused: tuple[ControlPlane, str],
) -> None:
    """The mistake of a first day: what is wrong is told, mended, and does not hold on."""
    control_plane, namespace = refused
    name = f"case-{[r.name for r in HERE].index('claim-missing')}"
    wait_for("r1 trains", lambda: _jobs(control_plane, namespace, f"{name}-r1-train-1"))
    patch = {"spec": {"artifacts": {"claimName": "lockstep-artifacts"}}}
    control_plane.kubectl(
        *("patch", "em", name, "-n", namespace, "--type=merge", "-p", json.dumps(patch))
    )
    (job,) = wait_for("r2 trains", lambda: _jobs(control_plane, namespace, f"{name}-r2-train-1"))
    volumes = job["spec"]["template"]["spec"]["volumes"]
    (claim,) = (v["persistentVolumeClaim"] for v in volumes if "persistentVolumeClaim" in v)
    assert claim["claimName"] == "lockstep-artifacts"
    wait_for("r1's Job goes", lambda: not _jobs(control_plane, namespace, f"{name}-r1-train-1"))


def test_every_bad_spec_is_told_somewhere() -> None:
    names = {refusal.name for refusal in OPERATOR_REFUSES}
    assert {*TOLD_BY_A_NODE} <= names
    assert len(HERE) >= 7


def _jobs(control_plane: ControlPlane, namespace: str, name: str) -> list[dict[str, Any]]:
    done = control_plane.kubectl("get", "jobs", "-n", namespace, "-o", "json")
    items = json.loads(done.stdout)["items"]
    return [job for job in items if job["metadata"]["name"] == name]


def _play_the_node(
    control_plane: ControlPlane, namespace: str, job: str, status: dict[str, Any]
) -> None:
    def pods() -> list[str]:
        selector = f"job-name={job}"
        return control_plane.kubectl(
            *("get", "pods", "-n", namespace, "-l", selector, "-o", "name")
        ).stdout.split()

    (pod,) = wait_for(f"{job} has a pod", pods)
    control_plane.kubectl(
        *("patch", pod, "-n", namespace, "--subresource=status", "--type=merge"),
        *("-p", json.dumps({"status": status})),
    )
