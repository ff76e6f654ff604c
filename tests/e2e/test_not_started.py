"""Volumes of a real node that hold a training up: the status says what the cluster says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.world import World

UNBOUND, UNMOUNTED = "never-bound", "never-mounted"
VOLUME, CLASS = "e2e-never-mounted", "e2e-never-mounted"


def claim(world: World, name: str, spec: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": world.namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "1Gi"}},
            **spec,
        },
    }


@pytest.fixture(scope="module")
def world(make_world: Callable[[str], World]) -> Iterator[World]:
    """Two claims, one without a volume and one whose volume no node can mount."""
    world = make_world("not-started")
    volume: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": CLASS,
            "hostPath": {"path": "/no/such/folder", "type": "Directory"},
        },
    }
    world.kube.run("delete", "pv", VOLUME, "--ignore-not-found")
    world.kube.apply(
        volume,
        claim(world, UNBOUND, {"storageClassName": "no-such-class"}),
        claim(world, UNMOUNTED, {"storageClassName": CLASS, "volumeName": VOLUME}),
    )

    def bound() -> bool:
        found = world.kube.get(world.namespace, "persistentvolumeclaim", UNMOUNTED) or {}
        return bool(found.get("status", {}).get("phase") == "Bound")

    wait_until(bound, what="the claim to be bound")
    yield world
    world.kube.run("delete", "pv", VOLUME, "--ignore-not-found", "--wait=false")


def test_a_claim_that_is_not_bound_is_told_with_what_it_waits_for(world: World) -> None:
    world.kube.apply(
        world.model(
            artifacts={"claimName": UNBOUND},
            indexing="None",
            rollout={"progressDeadlineSeconds": 45},
        )
    )
    status = world.until_failed(1)
    message = str(status["message"])
    assert "Unschedulable" in str(world.condition("Ready"))
    assert "unbound immediate PersistentVolumeClaims" in message
    assert f"claim {UNBOUND}: " in message and "no-such-class" in message
    assert "`spec.artifacts.claimName`" in message and "lower" not in message


def test_a_volume_that_no_node_mounts_is_told_with_the_kubelets_words(world: World) -> None:
    world.patch("em", {"artifacts": {"claimName": UNMOUNTED}})
    status = world.until_failed(2)
    message = str(status["message"])
    assert "FailedMount" in str(world.condition("Ready"))
    assert "after 45 s: MountVolume.SetUp failed" in message and "/no/such/folder" in message
    assert "mend the volume, or name another claim" in message
