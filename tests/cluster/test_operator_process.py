"""The operator as a process, with the chart's rights, against a real API server.

Writes are counted in the audit log, for the operator's own user, Lease and Events apart.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import (
    WRITES_TO_TRAINING,
    Cluster,
    Launch,
    four_writes_for_each,
    index,
    model,
    no_crash,
)
from tests.cluster.support.operator_process import LEASE_NAME, Writes, wait_for

# More of them: tests/scale.
MANY = 100


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
    measured = four_writes_for_each(MANY, cluster, launch, writes)
    record_property("many_models", measured)
    print(measured)


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

    def refused() -> list[str]:
        return [line["error"] for line in operator.lines() if line["level"] == "error"]

    # It says "listing" from the moment it leads; the server's refusal comes an answer later.
    wait_for("the refusal is logged", refused)
    assert operator.stop() == 0
    lease = control_plane.get("lease", LEASE_NAME, cluster.namespace)
    assert lease["spec"]["holderIdentity"] == ""
    assert "embeddingmodels" in refused()[0]
    assert "forbidden" in refused()[0]


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
    deployments = cluster.names("deployments")
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
        return selectors == services and replicas == [1, 1]

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
    kinds = "em,er,jobs,pods,deployments,services"
    wait_for("everything is gone", lambda: cluster.names(kinds) == [], 60)
    assert cluster.names("vix") == ["VectorIndex/glyphs"], "a recipe is the user's"
    no_crash(operator)


def test_a_model_that_is_made_again_at_once_is_not_taken_for_the_old_one(
    cluster: Cluster, launch: Launch, kubelet: Kubelet
) -> None:
    """`kubectl replace --force`: names are used again while garbage collection still runs."""
    operator = launch()
    both = model("glyphs", indexing="Required"), index("glyphs", "glyphs")
    cluster.apply(*both)
    cluster.healthy("glyphs", "glyphs-r1")
    old = {o["metadata"]["uid"] for o in cluster.items("em,er,jobs,deployments,services")}
    cluster.kubectl("delete", "em,vix", "glyphs", "--wait=false")
    cluster.apply(*both)

    def anew() -> bool:
        now = {o["metadata"]["uid"] for o in cluster.items("em,er,jobs,deployments,services")}
        return cluster.status("em", "glyphs").get("phase") == "Healthy" and not now & old

    wait_for("it is Healthy with nothing of the old one", anew, 60)
    assert cluster.status("em", "glyphs").get("history") is None or all(
        entry["outcome"] == "Promoted" for entry in cluster.status("em", "glyphs")["history"]
    ), "no release failed over names of the old one"
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
