"""The operator as a process, with the chart's rights, against a real API server.

Writes are counted in the audit log, for the operator's own user, Lease and Events apart.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.operator_process import (
    LEASE_NAME,
    OperatorProcess,
    Writes,
    chart_kubeconfig,
    wait_for,
)

# From apply to a created training Job, of one model.
WRITES_TO_TRAINING = {
    "create embeddingreleases 201": 1,
    "patch embeddingreleases/status 200": 1,
    "create jobs 201": 1,
    "patch embeddingmodels/status 200": 1,
}
MANY = 300

Launch = Callable[..., OperatorProcess]


def model(name: str, *, indexing: str = "None", **rollout: Any) -> dict[str, Any]:
    return {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "metadata": {"name": name},
        "spec": {
            "artifacts": {"uri": "file:///artifacts", "claimName": "lockstep-artifacts"},
            "training": {
                "data": {"uri": "file:///artifacts/datasets/glyphs.npz", "format": "NPZ"},
                "encoder": {"kind": "CNN", "dimension": 64},
                "budget": {"maxSteps": 10},
            },
            "indexing": indexing,
            "rollout": rollout,
        },
    }


def index(name: str, of: str) -> dict[str, Any]:
    return {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": "VectorIndex",
        "metadata": {"name": name},
        "spec": {
            "modelRef": {"name": of},
            "source": {"uri": "file:///artifacts/datasets/glyphs.npz", "format": "NPZ"},
            "index": {"type": "Flat"},
        },
    }


class Cluster:
    """What the tests ask of their namespace."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self.control_plane = control_plane
        self.namespace = namespace

    def apply(self, *objects: dict[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", stdin=listed)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        done = self.control_plane.kubectl("-n", self.namespace, *arguments, **options)
        return done.stdout

    def items(self, kinds: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]
        return found

    def names(self, kinds: str) -> list[str]:
        return sorted(f"{o['kind']}/{o['metadata']['name']}" for o in self.items(kinds))

    def status(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.control_plane.get(kind, name, self.namespace).get("status", {})
        return found

    def trains(self, count: int, seconds: float = 60.0) -> None:
        """Waits until `count` Jobs are there and every model says that it makes progress."""

        def told() -> bool:
            phases = [o.get("status", {}).get("phase") for o in self.items("em")]
            return len(self.items("jobs")) == count and phases == ["Progressing"] * count

        wait_for(f"{count} models train", told, seconds)

    def healthy(self, name: str, release: str) -> None:
        def told() -> bool:
            status = self.status("em", name)
            stable = (status.get("stable") or {}).get("release")
            return status.get("phase") == "Healthy" and stable == release

        wait_for(f"{name} is Healthy with {release}", told, 90)


@pytest.fixture
def cluster(control_plane: ControlPlane, namespace: str) -> Cluster:
    return Cluster(control_plane, namespace)


@pytest.fixture
def launch(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Launch]:
    """Starts operators of this namespace, and ends those that still run."""
    kubeconfig = chart_kubeconfig(control_plane, namespace, tmp_path)
    started: list[OperatorProcess] = []

    def start(**options: Any) -> OperatorProcess:
        name = options.pop("name", f"operator-{len(started)}")
        wait = options.pop("wait", True)
        process = OperatorProcess(
            kubeconfig=kubeconfig,
            log=tmp_path / f"{name}.log",
            namespaces=(namespace,),
            lease_namespace=namespace,
            name=name,
            **options,
        ).start()
        started.append(process)
        if wait:
            wait_for(f"{name} leads", process.leads, 45)
        return process

    yield start
    for process in started:
        process.stop(signal.SIGKILL)


@pytest.fixture
def writes(control_plane: ControlPlane, namespace: str) -> Writes:
    return Writes.since_now(control_plane, namespace)


@pytest.fixture
def kubelet(control_plane: ControlPlane, namespace: str) -> Iterator[Kubelet]:
    playing = Kubelet(control_plane, namespace).start()
    yield playing
    playing.stop()


def no_crash(process: OperatorProcess) -> None:
    bad = [line for line in process.lines() if "traceback" in line or line["level"] == "error"]
    assert bad == []


def test_four_writes_to_a_training_job_and_none_after(
    cluster: Cluster,
    launch: Launch,
    writes: Writes,
    record_property: Callable[[str, object], None],
) -> None:
    operator = launch(resync_seconds=4.0)
    cluster.apply(model("glyphs"))
    cluster.trains(1)
    assert writes.settled() == WRITES_TO_TRAINING
    measured = {"models": 1, "rss_mib": round(operator.resident_mib(), 1)}
    record_property("one_model", json.dumps(measured))
    print(json.dumps(measured))
    reconciles = operator.metric("lockstep_reconcile_total")
    wait_for(
        "two resyncs", lambda: operator.metric("lockstep_reconcile_total") >= reconciles + 2, 30
    )
    assert writes.counted() == WRITES_TO_TRAINING, "a resync over nothing new writes nothing"
    assert operator.stop() == 0
    again = launch(name="again")
    assert writes.settled() == WRITES_TO_TRAINING, "a restart writes nothing"
    no_crash(operator)
    no_crash(again)


def test_four_writes_for_each_of_many_models(
    cluster: Cluster,
    launch: Launch,
    writes: Writes,
    record_property: Callable[[str, object], None],
) -> None:
    operator = launch()
    started = time.monotonic()
    cluster.apply(*(model(f"m{number}") for number in range(MANY)))
    cluster.trains(MANY, 300)
    seconds = time.monotonic() - started
    expected = {what: count * MANY for what, count in WRITES_TO_TRAINING.items()}
    assert writes.settled() == expected
    measured = {
        "models": MANY,
        "seconds_to_all_training": round(seconds, 1),
        "rss_mib": round(operator.resident_mib(), 1),
    }
    record_property("many_models", json.dumps(measured))
    print(json.dumps(measured))
    assert operator.stop() == 0
    again = launch(name="again")
    assert writes.settled() == expected, "a restart writes nothing"
    measured = {"models": MANY, "rss_mib_after_restart": round(again.resident_mib(), 1)}
    print(json.dumps(measured))
    no_crash(operator)
    no_crash(again)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_in_a_burst(cluster: Cluster, launch: Launch, seed: int) -> None:
    """SIGKILL between any two writes: never two Jobs of one model, and the same end."""
    rng = random.Random(seed)
    count = 30
    cluster.apply(*(model(f"m{number}") for number in range(count)))
    for round_number in range(4):
        operator = launch(name=f"victim-{round_number}", lease_seconds=3.0)
        time.sleep(rng.uniform(0.0, 0.6))
        assert operator.stop(signal.SIGKILL) == -signal.SIGKILL
    survivor = launch(name="survivor", lease_seconds=15.0)
    cluster.trains(count)
    assert cluster.names("er") == sorted(f"EmbeddingRelease/m{n}-r1" for n in range(count))
    owners = [job["metadata"]["ownerReferences"][0]["name"] for job in cluster.items("jobs")]
    assert sorted(owners) == sorted(f"m{n}-r1" for n in range(count))
    stages = {release["status"]["stage"] for release in cluster.items("er")}
    assert stages == {"Training"}
    no_crash(survivor)


def test_sigterm_hands_over_in_seconds_and_nobody_writes_twice(
    cluster: Cluster, launch: Launch, writes: Writes
) -> None:
    first = launch(name="first")
    second = launch(name="second", wait=False)
    wait_for("the standby is ready", lambda: second.probe("/readyz")[0] == 200)
    assert second.metric("lockstep_leader") == 0.0
    cluster.apply(*(model(f"m{number}") for number in range(20)))
    wait_for("it has begun", lambda: cluster.items("er"))
    asked = time.monotonic()
    assert first.stop() == 0
    wait_for("the standby leads", second.leads)
    handed_over = time.monotonic() - asked
    print(json.dumps({"hand_over_seconds": round(handed_over, 2)}))
    assert handed_over < 12.0, "released: the Lease of 15 s did not have to expire"
    cluster.trains(20)
    counted = writes.settled()
    assert counted["create embeddingreleases 201"] == 20
    assert counted["create jobs 201"] == 20
    no_crash(first)
    no_crash(second)


def test_sigterm_while_the_first_lists_fail(
    cluster: Cluster, launch: Launch, control_plane: ControlPlane
) -> None:
    """A missing right is named in the log, the probe says why, and SIGTERM still hands over."""
    cluster.kubectl("delete", "rolebinding", LEASE_NAME)
    operator = launch(name="first", wait=False)
    wait_for("it leads", lambda: operator.metric("lockstep_leader") == 1.0)
    wait_for("it waits", lambda: operator.probe("/readyz") == (503, "listing\n"))
    assert operator.probe("/healthz")[0] == 200
    assert operator.stop() == 0
    lease = control_plane.get("lease", LEASE_NAME, cluster.namespace)
    assert lease["spec"]["holderIdentity"] == ""
    errors = [line["error"] for line in operator.lines() if line["level"] == "error"]
    assert errors
    assert "embeddingmodels" in errors[0]
    assert "forbidden" in errors[0]


def test_a_stopped_leader_writes_nothing_after_it_wakes(cluster: Cluster, launch: Launch) -> None:
    """SIGSTOP past the Lease, then SIGCONT: the former leader exits without a write."""
    first = launch(name="first", lease_seconds=4.0)
    second = launch(name="second", lease_seconds=4.0, wait=False)
    first.send(signal.SIGSTOP)
    wait_for("the standby leads", second.leads, 30)
    cluster.apply(model("glyphs"))
    cluster.trains(1)
    first.send(signal.SIGCONT)
    assert first.process is not None
    assert first.process.wait(20) == 1
    assert any(line["message"] == "no longer the leader: exit" for line in first.lines())
    assert not any(line["message"] == "created" for line in first.lines())
    cluster.trains(1)


def test_a_release_runs_to_the_end_and_hand_edits_are_reverted(
    cluster: Cluster, launch: Launch, kubelet: Kubelet, writes: Writes
) -> None:
    operator = launch()
    cluster.apply(model("glyphs", indexing="Required"), index("glyphs", "glyphs"))
    cluster.healthy("glyphs", "glyphs-r1")
    whole = writes.settled()
    deployments = cluster.names("deployments,statefulsets")
    assert len(deployments) == 2
    services = {o["metadata"]["name"]: o["spec"]["selector"] for o in cluster.items("services")}
    encoder = next(o for o in cluster.items("deployments"))["metadata"]["name"]
    cluster.kubectl("patch", "service", "glyphs", "-p", '{"spec":{"selector":{"x":"y"}}}')
    cluster.kubectl("scale", "deployment", encoder, "--replicas=5")

    def reverted() -> bool:
        selectors = {
            o["metadata"]["name"]: o["spec"]["selector"] for o in cluster.items("services")
        }
        replicas = [o["spec"]["replicas"] for o in cluster.items("deployments")]
        return {k: v for k, v in selectors.items() if k in services} == services and replicas == [1]

    wait_for("the edits are reverted", reverted)
    after = writes.settled()
    assert after["patch services 200"] == whole["patch services 200"] + 1
    assert after["patch deployments 200"] == whole["patch deployments 200"] + 1
    assert operator.stop() == 0
    launch(name="again")
    assert writes.settled() == after, "a restart over a serving release writes nothing"
    no_crash(operator)


def test_a_model_that_is_deleted_leaves_nothing(
    cluster: Cluster, launch: Launch, kubelet: Kubelet
) -> None:
    operator = launch()
    cluster.apply(model("glyphs", indexing="Required"), index("glyphs", "glyphs"))
    cluster.healthy("glyphs", "glyphs-r1")
    cluster.kubectl("delete", "em", "glyphs", "--wait=false")
    kinds = "em,er,jobs,pods,deployments,statefulsets,services"
    wait_for("everything is gone", lambda: cluster.names(kinds) == [], 60)
    assert cluster.names("vix") == ["VectorIndex/glyphs"], "a recipe is the user's"
    no_crash(operator)


def test_a_strangers_job_is_reported_and_left_alone(cluster: Cluster, launch: Launch) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "theirs:1"}]}
    stranger = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "glyphs-r1-train-1"},
        "spec": {"template": {"spec": pod}},
    }
    cluster.apply(stranger)
    before = cluster.control_plane.get("job", "glyphs-r1-train-1", cluster.namespace)["spec"]
    operator = launch()
    cluster.apply(model("glyphs"))

    def told() -> bool:
        return "belongs to someone else" in cluster.status("em", "glyphs").get("message", "")

    wait_for("the status says so", told)
    job = cluster.control_plane.get("job", "glyphs-r1-train-1", cluster.namespace)
    assert job["spec"] == before
    assert "ownerReferences" not in job["metadata"]
    cluster.kubectl("delete", "job", "glyphs-r1-train-1")
    cluster.kubectl("annotate", "em", "glyphs", "lockstep.dev/retry=r1")
    cluster.trains(1)
    no_crash(operator)
