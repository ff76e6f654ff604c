"""Edges 6, 7 and 10: Jobs and servers that do not start are told in the cluster's own words.

A clock runs for each of them, and what can never succeed fails at once.
"""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_operator.api.objects import Object
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

JOB = "glyphs-r2-train-1"
POD = 'Error creating: pods "glyphs-r2-train-1-x7kqp" is forbidden: '
QUOTA = "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"
LIMITS = "maximum memory usage per Container is 64Mi, but limit is 1Gi"
POLICY = "ValidatingAdmissionPolicy 'cost' with binding 'cost' denied request: name a cost centre"
RUNTIME = 'pod rejected: RuntimeClass "gvisor" not found'
PRIORITY = "no PriorityClass with name high was found"
MOUNT = 'MountVolume.SetUp failed for volume "artifacts" : mount failed: exit status 32'
SUMMARY = (
    "Unable to attach or mount volumes: unmounted volumes=[artifacts], unattached volumes=[],"
    " failed to process volumes=[]: timed out waiting for the condition"
)


def training() -> World:
    """r1 serves, r2 has just begun."""
    return worlds.healthy().change_model("training.seed", 7).settle()


def on_node(world: World) -> str:
    """The pod of r2's Job has its node and waits there."""
    pod = world.start_pod(JOB)
    world.edit("Pod", pod, lambda raw: raw["spec"].update(nodeName="n1"))
    waiting = {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}
    world.set_status("Pod", pod, {"containerStatuses": [waiting]})
    return pod


def says(world: World, reason: str, *words: str) -> None:
    """The status has the reason and the words, and writes nothing more while time passes."""
    assert world.says("Reconciling") == ("True", reason)
    for word in words:
        assert word in world.status["message"]
    writes = len(world.writes)
    world.pass_time(60).settle()
    assert len(world.writes) == writes, "no clock in a status"


def test_edge_7_a_quota_is_quoted_and_its_clock_runs() -> None:
    world = training().say(("Job", JOB), "FailedCreate", POD + QUOTA).settle()
    assert "quota" not in world.status["message"] and world.look_again_after == 10
    world.pass_time(11).settle()
    assert world.look_again_after == 30, "its Events change without news of the Job"
    says(
        world,
        "FailedCreate",
        f"the cluster refuses the pod of Job {JOB} (FailedCreate): {QUOTA}; raise the"
        " ResourceQuota or free some of it, or lower `spec.training.template`.resources",
    )
    world.pass_time(820).settle()
    assert world.stage(2) == "Training"
    world.pass_time(20).settle()
    assert world.stage(2) == "Failed" and world.says("Stalled") == ("True", "FailedCreate")
    assert f"(FailedCreate) after 900 s: {QUOTA}; raise the" in world.status["message"]
    assert world.jobs() == [] and world.entry() == "glyphs-r1"


def test_edge_7_a_quota_that_is_freed_lets_the_job_go_on() -> None:
    world = training().say(("Job", JOB), "FailedCreate", POD + QUOTA)
    world.pass_time(800).settle()
    world.start_pod(JOB)
    world.settle().pass_time(800).settle()
    assert world.says("Reconciling") == ("True", "Training")
    assert world.run().stage(2) == "Serving"


def test_edge_7_an_event_of_before_the_last_pod_is_no_evidence() -> None:
    """A training ran for an hour, and its pod is lost: the quota of the beginning is not told."""
    world = training().say(("Job", JOB), "FailedCreate", POD + LIMITS)
    pod = world.pass_time(5).start_pod(JOB)
    world.pass_time(3600).set_status("Pod", pod, {"phase": "Failed"})
    world.settle()
    assert world.stage(2) == "Training"
    world.say(("Job", JOB), "FailedCreate", POD + QUOTA)
    ended = {"name": "main", "state": {"terminated": {"exitCode": 75, "finishedAt": world.text()}}}
    world.set_status("Pod", pod, {"phase": "Failed", "containerStatuses": [ended]})
    world.settle().pass_time(800).settle()
    assert world.stage(2) == "Training", "the clock begins when the pod before ended"
    assert QUOTA in world.status["message"]
    world.pass_time(101).settle()
    assert world.stage(2) == "Failed"


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (LIMITS, "set `spec.training.template`.resources to what the LimitRange allows"),
        (POLICY, "change `spec.training.template` so that the policy admits it"),
        (RUNTIME, "make the RuntimeClass"),
        (PRIORITY, "name another in `spec.training.template`.priorityClassName"),
    ],
)
def test_edge_7_a_pod_that_is_refused_for_good_fails_the_release_at_once(
    words: str, fix: str
) -> None:
    world = training().say(("Job", JOB), "FailedCreate", POD + words)
    world.pass_time(11).settle()
    assert world.stage(2) == "Failed" and world.record(2)["failedStage"] == "Training"
    assert world.says("Stalled") == ("True", "FailedCreate")
    message = world.status["message"]
    assert f"(FailedCreate): {words}; " in message and fix in message
    assert world.jobs() == [] and world.entry() == "glyphs-r1"


def test_edge_7_one_of_several_pods_that_is_refused_is_told() -> None:
    world = training()
    world.edit("Job", JOB, lambda raw: raw["spec"].update(parallelism=2))
    world.start_pod(JOB)
    world.pass_time(11).say(("Job", JOB), "FailedCreate", POD + QUOTA).settle()
    says(world, "FailedCreate", QUOTA)


@pytest.mark.parametrize(
    ("event", "words", "fix"),
    [
        ("FailedMount", MOUNT, "mend the volume, or name another claim in `spec.artifacts."),
        (
            "FailedAttachVolume",
            'Multi-Attach error for volume "pvc-1"',
            "mend the volume, or name another claim in `spec.artifacts.claimName`",
        ),
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "keys" : secret "store-keys" not found',
            "make it, or name another in `spec.artifacts.secretRef`",
        ),
        (
            "FailedCreatePodSandBox",
            "Failed to create pod sandbox: no IP addresses available",
            "mend the network or the container runtime of the node",
        ),
    ],
)
def test_edge_6_a_pod_that_its_node_does_not_start_fails_after_the_deadline(
    event: str, words: str, fix: str
) -> None:
    world = training()
    pod = on_node(world)
    world.settle().pass_time(10).settle()
    assert world.says("Reconciling") == ("True", "Training") and world.look_again_after == 30
    world.say(("Pod", pod), event, words).say(("Pod", pod), event, SUMMARY).settle()
    assert world.look_again_after == 30
    said = words.removeprefix("Failed to create pod sandbox: ")
    says(world, event, f"pod {pod} cannot start", f": {said}; ", fix)
    world.pass_time(900).settle()
    assert world.stage(2) == "Failed" and world.says("Stalled") == ("True", event)
    assert f"({event}) after 900 s: {said}; " in world.status["message"]


def test_edge_6_a_mount_that_came_about_is_told_no_more() -> None:
    world = training()
    pod = on_node(world)
    world.pass_time(10).say(("Pod", pod), "FailedMount", MOUNT).settle()
    assert world.says("Reconciling") == ("True", "FailedMount")
    world.pass_time(10).say(("Pod", pod), "Pulling", "Pulling image", warning=False).settle()
    assert world.says("Reconciling") == ("True", "Training")
    world.pass_time(2000).settle()
    assert world.stage(2) == "Training", "a large image may take long"


def test_edge_6_a_claim_that_is_not_bound_says_why() -> None:
    world = training()
    pod = world.start_pod(JOB)
    unbound = (
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption"
    )
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    world.set_status("Pod", pod, {"conditions": [condition | {"message": f"{unbound}: none"}]})
    world.settle()
    bind = "bind the claim of `spec.artifacts.claimName` to a volume that the nodes reach"
    assert bind in world.status["message"]
    claim = world.objects["EmbeddingModel", "glyphs"]["spec"]["artifacts"]["claimName"]
    why = 'storageclass.storage.k8s.io "fast" not found'
    world.say(("PersistentVolumeClaim", claim), "ProvisioningFailed", why)
    world.pass_time(10).settle()
    says(world, "Unschedulable", f"claim {claim}: {why}; {bind}")


@pytest.mark.parametrize("reason", ["InvalidImageName", "ErrImageNeverPull"])
def test_edge_6_an_image_that_can_never_be_pulled_fails_the_release_at_once(reason: str) -> None:
    world = training()
    pod = world.start_pod(JOB)
    waiting = {"reason": reason, "message": "as the kubelet says"}
    container = {"name": "main", "image": "T:1:2", "state": {"waiting": waiting}}
    world.set_status("Pod", pod, {"containerStatuses": [container]})
    world.settle()
    assert world.stage(2) == "Failed" and world.says("Stalled") == ("True", reason)
    assert f"image T:1:2 ({reason}): as the kubelet says; set" in world.status["message"]


def test_edge_6_the_registry_is_quoted_and_a_pull_may_heal() -> None:
    world = training()
    pod = world.start_pod(JOB)

    def waits(reason: str, message: str) -> None:
        waiting = {"reason": reason, "message": message}
        container = {"name": "main", "image": "t:9", "state": {"waiting": waiting}}
        world.set_status("Pod", pod, {"containerStatuses": [container]})

    words = "failed to authorize: 401 Unauthorized"
    waits("ErrImagePull", f"rpc error: code = Unknown desc = {words}")
    world.settle()
    told = world.status["message"]
    assert f"cannot pull image t:9 (ImagePullBackOff): {words}; " in told
    assert "`programs.imagePullSecrets`" in told
    writes = len(world.writes)
    waits("ImagePullBackOff", f'Back-off pulling image "t:9": ErrImagePull: {words}')
    world.settle()
    assert len(world.writes) == writes, "the same failure, in another state"
    # A kubelet of before says why in its Event alone.
    waits("ImagePullBackOff", 'Back-off pulling image "t:9"')
    world.say(("Pod", pod), "Failed", f'Failed to pull image "t:9": {words}')
    world.pass_time(10).settle()
    assert len(world.writes) == writes
    assert world.run().stage(2) == "Serving"


# -- edge 10: servers


ENCODER = "glyphs-r2-encoder"


def refuse(world: World, words: str, name: str = ENCODER) -> None:
    """The controllers of Deployments say that pods are refused."""
    raw: Object = world.objects["Deployment", name]
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": f'pods "{name}-6f7d-abcde" is forbidden: {words}',
        "lastTransitionTime": world.text(),
    }
    seen = {"observedGeneration": raw["metadata"]["generation"], "conditions": [failure]}
    world.set_status("Deployment", name, seen)


def test_edge_10_servers_that_a_quota_refuses_are_told_until_the_deadline() -> None:
    world = worlds.second("Warming")
    refuse(world, QUOTA)
    world.settle()
    words = f"the cluster refuses the pod of Deployment {ENCODER} (FailedCreate): {QUOTA}; raise"
    says(world, "FailedCreate", words, "`spec.serving.template`.resources")
    world.pass_time(900).settle()
    assert world.stage(2) == "Failed"
    assert world.says("Stalled") == ("True", "ProgressDeadlineExceeded")
    assert words in world.status["message"] and world.entry() == "glyphs-r1"


def test_edge_10_servers_that_are_refused_for_good_fail_at_once() -> None:
    world = worlds.second("Warming")
    refuse(world, LIMITS, "glyphs-r2-glyphs")
    world.settle()
    assert world.stage(2) == "Failed" and world.says("Stalled") == ("True", "FailedCreate")
    assert "VectorIndex glyphs `spec.template`.resources" in world.status["message"]
    assert world.entry() == "glyphs-r1"


def test_edge_10_what_an_earlier_template_was_refused_for_is_no_evidence() -> None:
    world = worlds.second("Warming")
    refuse(world, LIMITS)
    world.edit("Deployment", ENCODER, lambda raw: raw["metadata"].update(generation=99))
    world.settle()
    assert world.stage(2) == "Warming"


def server(world: World, **changes: Any) -> str:
    labels = {
        "lockstep.dev/release": "glyphs-r2",
        "lockstep.dev/component": "encoder",
        "lockstep.dev/model": "glyphs",
    }
    pod: Object = {
        "kind": "Pod",
        "metadata": {"name": f"{ENCODER}-x", "labels": labels},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "e:1"}]},
        "status": {"phase": "Pending"},
    }
    world.create(pod | changes)
    return str(pod["metadata"]["name"])


def test_edge_10_a_server_whose_volume_is_not_mounted_is_told() -> None:
    world = worlds.second("Warming")
    pod = server(world)
    world.settle()
    assert world.look_again_after == 10
    world.pass_time(10).say(("Pod", pod), "FailedMount", MOUNT).settle()
    says(world, "FailedMount", f"pod {pod} cannot start (FailedMount): {MOUNT}; mend the volume")
    world.pass_time(900).settle()
    assert world.stage(2) == "Failed" and MOUNT in world.status["message"]
    assert world.record(2)["lastFailure"]["pod"] == pod


def test_edge_10_a_server_whose_image_can_never_be_pulled_fails_at_once() -> None:
    world = worlds.second("Warming")
    waiting = {
        "waiting": {"reason": "ErrImageNeverPull", "message": "not present with policy Never"}
    }
    container = {"name": "main", "image": "e:1", "state": waiting}
    server(world, status={"phase": "Pending", "containerStatuses": [container]})
    world.settle()
    assert world.stage(2) == "Failed" and world.says("Stalled") == ("True", "ErrImageNeverPull")
    assert "set `spec.serving.template`.image" in world.status["message"]
