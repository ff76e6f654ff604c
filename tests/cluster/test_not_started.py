"""Jobs, pods and servers that do not start, in the words of a real API server and its controllers.

No node runs here: admission, quotas and the controllers of Jobs and Deployments are real; what a
kubelet would say is written by the test, as an Event.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from lockstep_operator.decide.jobs.obstacles import Mend
from lockstep_operator.decide.jobs.stuck import refused
from lockstep_operator.runtime.seen_events import seen
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import Cluster, Launch, index, model, no_crash
from tests.cluster.support.operator_process import OperatorProcess, wait_for
from tests.unit.manifests.support import samples

JOB = "glyphs-r1-train-1"
TEMPLATE = "`spec.training.template`"


def told(cluster: Cluster, *words: str, seconds: float = 60.0) -> dict[str, Any]:
    """The status of the model, once its message has all the words."""

    def look() -> dict[str, Any] | None:
        status = cluster.status("em", "glyphs")
        return status if all(word in status.get("message", "") for word in words) else None

    found: dict[str, Any] = wait_for(f"the status says {words}", look, seconds)
    return found


def ready(status: dict[str, Any]) -> str:
    return next(str(c["reason"]) for c in status["conditions"] if c["type"] == "Ready")


def stage(cluster: Cluster) -> str | None:
    return cluster.status("er", "glyphs-r1").get("stage")


def lists_of_events(operator: OperatorProcess) -> float:
    text = operator.probe("/metrics")[1]
    lines = re.findall(r"^lockstep_api_calls_total\{(.*)\} (\S+)$", text, re.MULTILINE)
    return sum(
        float(count) for of, count in lines if 'verb="list"' in of and 'resource="events"' in of
    )


def limited(memory: str) -> dict[str, Any]:
    """The model, whose training has a limit of memory."""
    found = model("glyphs")
    limits = {"resources": {"limits": {"memory": memory}}}
    found["spec"]["training"]["template"] = limits
    return found


def quota(pods: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": str(pods)}},
    }


def counted(cluster: Cluster) -> bool:
    (found,) = cluster.items("resourcequota")
    return "pods" in (found.get("status", {}).get("used") or {})


def test_a_limit_range_fails_the_release_at_once(cluster: Cluster, launch: Launch) -> None:
    limits = [{"type": "Container", "max": {"memory": "600Mi"}}]
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "small"},
            "spec": {"limits": limits},
        }
    )
    operator = launch()
    cluster.apply(limited("1Gi"))
    status = told(
        cluster,
        f"the cluster refuses the pod of Job {JOB} (FailedCreate): maximum memory usage per"
        " Container is 600Mi, but limit is 1Gi",
        f"set {TEMPLATE}.resources to what the LimitRange allows",
    )
    assert ready(status) == "FailedCreate" and status["phase"] == "Degraded"
    wait_for("r1 failed", lambda: stage(cluster) == "Failed")
    wait_for("its Job goes", lambda: cluster.names("jobs") == [])
    no_crash(operator)


def test_a_quota_is_told_and_waited_for(cluster: Cluster, launch: Launch) -> None:
    cluster.apply(quota(0))
    wait_for("the quota is counted", lambda: counted(cluster))
    operator = launch()
    cluster.apply(model("glyphs"))
    status = told(cluster, "exceeded quota: small, requested: pods=1", "raise the ResourceQuota")
    assert ready(status) == "FailedCreate" and status["phase"] == "Progressing"
    assert stage(cluster) == "Training"
    reads = lists_of_events(operator)
    assert 1 <= reads <= 3, "seldom, and of the Job alone"
    cluster.apply(quota(5))
    # The Job controller tries again after a backoff of its own.
    wait_for("the Job has its pod", lambda: cluster.items("pods"), 150)
    wait_for("it trains", lambda: ready(cluster.status("em", "glyphs")) == "Training", 60)
    no_crash(operator)


def test_a_quota_that_stays_fails_the_release_after_the_deadline(
    cluster: Cluster, launch: Launch
) -> None:
    cluster.apply(quota(0))
    wait_for("the quota is counted", lambda: counted(cluster))
    operator = launch()
    cluster.apply(model("glyphs", progressDeadlineSeconds=20))
    status = told(cluster, "(FailedCreate) after 20 s: exceeded quota: small", seconds=90)
    assert status["phase"] == "Degraded" and stage(cluster) == "Failed"
    no_crash(operator)


@pytest.fixture
def no_pods_of(control_plane: ControlPlane, namespace: str) -> Iterator[Any]:
    """Makes a policy that refuses pods of one component, and waits until it holds."""
    name = f"not-started-{uuid.uuid4().hex[:8]}.example"

    def make(component: str) -> None:
        label = "lockstep.dev/component"
        labels = "object.metadata.labels"
        named = f"has({labels}) && '{label}' in {labels} && {labels}['{label}'] == '{component}'"
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
        }
        policy = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": f"!({named})", "message": "name a cost centre"}],
            },
        }
        here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        binding = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": here},
            },
        }
        for one in (policy, binding):
            control_plane.kubectl("create", "-f", "-", stdin=one)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "probe", "labels": {label: component}},
            "spec": {"containers": [{"name": "main", "image": "none:1"}]},
        }

        def holds() -> bool:
            asked = ("create", "-n", namespace, "--dry-run=server", "-f", "-")
            return "cost centre" in control_plane.kubectl(*asked, stdin=pod, check=False).stderr

        wait_for("the policy holds", holds)

    yield make
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        control_plane.kubectl("delete", kind, name, "--ignore-not-found")


def test_an_admission_policy_fails_the_release_at_once(
    cluster: Cluster, launch: Launch, no_pods_of: Any
) -> None:
    no_pods_of("train")
    operator = launch()
    cluster.apply(model("glyphs"))
    status = told(
        cluster,
        "(FailedCreate): ValidatingAdmissionPolicy 'not-started-",
        "denied request: name a cost centre",
        f"change {TEMPLATE} so that the policy admits it",
    )
    assert ready(status) == "FailedCreate" and stage(cluster) == "Failed"
    no_crash(operator)


def test_servers_that_get_no_pods_are_told_by_their_deployment(
    cluster: Cluster, launch: Launch, kubelet: Kubelet, no_pods_of: Any
) -> None:
    no_pods_of("encoder")
    operator = launch()
    cluster.apply(model("glyphs", indexing="Required"), index("glyphs", "glyphs"))
    status = told(
        cluster,
        "the cluster refuses the pod of Deployment glyphs-r1-encoder (FailedCreate):",
        "denied request: name a cost centre",
        "change `spec.serving.template`",
        seconds=90,
    )
    assert ready(status) == "FailedCreate"
    assert cluster.status("er", "glyphs-r1")["failedStage"] == "Warming"
    no_crash(operator)


def test_a_runtime_class_that_is_not_there(control_plane: ControlPlane, namespace: str) -> None:
    """No field of ours names one, a webhook may: the Job is made as such a webhook leaves it."""
    job = samples.job("train", samples.model(), samples.release())
    metadata = {k: v for k, v in job["metadata"].items() if k != "ownerReferences"}
    job = {**job, "metadata": {**metadata, "namespace": namespace}}
    job["spec"]["template"]["spec"]["runtimeClassName"] = "no-such-runtime"
    control_plane.kubectl("create", "-f", "-", stdin=job)
    name = job["metadata"]["name"]
    live = control_plane.get("job", name, namespace)
    fields = f"involvedObject.kind=Job,involvedObject.name={name}"
    fields += f",involvedObject.uid={live['metadata']['uid']},reason=FailedCreate"

    def said() -> list[dict[str, Any]]:
        listed = control_plane.kubectl(
            *("get", "events", "-n", namespace, "-o", "json", f"--field-selector={fields}")
        )
        found: list[dict[str, Any]] = json.loads(listed.stdout)["items"]
        return found

    events = wait_for("the Job controller says why", said)
    stuck = refused(live, [], {("Job", name): tuple(seen(event) for event in events)})
    assert stuck is not None and stuck.is_final
    assert stuck.obstacle.mend is Mend.RUNTIME_CLASS
    assert stuck.obstacle.words == 'pod rejected: RuntimeClass "no-such-runtime" not found'


@pytest.fixture
def node(control_plane: ControlPlane) -> Iterator[str]:
    """A node that never answers, for less time than its pods are given up after."""
    name = f"node-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    control_plane.kubectl("create", "-f", "-", stdin=body)
    yield name
    control_plane.kubectl("delete", "node", name, "--ignore-not-found", "--wait=false")


def test_a_volume_that_is_not_mounted_is_told_by_the_events_of_the_pod(
    cluster: Cluster, launch: Launch, node: str
) -> None:
    operator = launch()
    cluster.apply(model("glyphs"))
    (pod,) = wait_for("the Job has a pod", lambda: cluster.items("pods"))
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    bound = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": target,
    }
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{name}/binding"
    cluster.control_plane.kubectl("create", "--raw", path, "-f", "-", stdin=bound)
    words = 'MountVolume.SetUp failed for volume "artifacts" : mount failed: exit status 32'
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    cluster.kubectl(
        *("create", "-f", "-"),
        stdin={
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.mount"},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": name,
                "namespace": cluster.namespace,
                "uid": uid,
            },
            "reason": "FailedMount",
            "type": "Warning",
            "message": words,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "kubelet"},
        },
    )
    status = told(cluster, f"pod {name} cannot start (FailedMount): {words}; mend the volume")
    assert ready(status) == "FailedMount" and stage(cluster) == "Training"
    no_crash(operator)


def test_a_model_that_serves_costs_no_read_of_events(
    cluster: Cluster, launch: Launch, kubelet: Kubelet
) -> None:
    operator = launch(resync_seconds=4.0)
    cluster.apply(model("glyphs", indexing="Required"), index("glyphs", "glyphs"))
    cluster.healthy("glyphs", "glyphs-r1")
    before, passes = lists_of_events(operator), operator.metric("lockstep_reconcile_total")
    wait_for("two resyncs", lambda: operator.metric("lockstep_reconcile_total") >= passes + 2, 30)
    assert lists_of_events(operator) == before
    assert operator.stop() == 0
    again = launch(name="again", resync_seconds=4.0)
    wait_for("it looked", lambda: again.metric("lockstep_reconcile_total") >= 2, 30)
    assert lists_of_events(again) == 0
