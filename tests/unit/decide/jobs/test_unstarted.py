"""Of what Events are read: of nothing that runs, that a queue holds, or that says itself why."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_operator.decide.jobs.unstarted import Subject, unstarted
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

JOB = "glyphs-r1-train-1"


def asked(world: World) -> list[tuple[str, str]]:
    subjects = unstarted(world.observed(), world.now)
    return [(subject.kind, subject.name) for subject in subjects]


def training() -> World:
    return World().apply_model().apply_index().settle()


def with_pod(**status: Any) -> tuple[World, str]:
    world = training()
    pod = world.start_pod(JOB)
    world.set_status("Pod", pod, status)
    return world.pass_time(60), pod


def on_node(world: World, pod: str) -> World:
    world.edit("Pod", pod, lambda raw: raw["spec"].update(nodeName="n1"))
    return world


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "image": "t:1", "state": state}]}


def test_a_settled_model_costs_no_read() -> None:
    assert asked(worlds.healthy().pass_time(100)) == []
    assert asked(worlds.two().pass_time(100)) == []


def test_a_job_is_asked_about_after_ten_seconds_without_a_pod() -> None:
    world = training()
    assert asked(world.pass_time(9)) == []
    assert asked(world.pass_time(1)) == [("Job", JOB)]
    (subject,) = unstarted(world.observed(), world.now)
    assert subject == Subject("Job", JOB, world.objects["Job", JOB]["metadata"]["uid"])
    world.start_pod(JOB)
    assert asked(world) == []


def test_a_job_that_a_queue_holds_is_not_asked_about() -> None:
    world = training().pass_time(60)
    world.edit("Job", JOB, lambda raw: raw["spec"].update(suspend=True))
    assert asked(world) == []


def test_a_job_that_lacks_one_of_its_pods_is_asked_about() -> None:
    world = training()
    world.edit("Job", JOB, lambda raw: raw["spec"].update(parallelism=2))
    world.start_pod(JOB)
    assert asked(world.pass_time(60)) == [("Job", JOB)]


@pytest.mark.parametrize(
    ("status", "is_asked"),
    [
        ({}, True),
        (container(waiting={"reason": "ContainerCreating"}), True),
        (container(running={}), False),
        ({"phase": "Running", **container(running={})}, False),
        (container(waiting={"reason": "ErrImagePull", "message": "not found"}), False),
        (
            container(
                waiting={"reason": "ImagePullBackOff", "message": 'Back-off pulling image "t"'}
            ),
            True,
        ),
        (container(waiting={"reason": "CreateContainerConfigError", "message": ""}), False),
    ],
)
def test_a_pod_that_has_its_node_and_does_not_say_why(
    status: dict[str, Any], is_asked: bool
) -> None:
    world, pod = with_pod(**status)
    assert asked(on_node(world, pod)) == [("Pod", pod)] * is_asked


def test_the_claim_is_asked_about_where_the_scheduler_waits_for_it() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    world, _ = with_pod(conditions=[condition | {"message": unbound}])
    claim = world.objects["EmbeddingModel", "glyphs"]["spec"]["artifacts"]["claimName"]
    assert asked(world) == [("PersistentVolumeClaim", claim)]
    world, _ = with_pod(conditions=[condition | {"message": "0/1 nodes are available: 1 Full."}])
    assert asked(world) == []


def test_servers_are_asked_about_while_their_release_is_warming() -> None:
    world = worlds.second("Warming")
    for number in (1, 2):
        metadata = {
            "name": f"encoder-{number}",
            "labels": {
                "lockstep.dev/release": f"glyphs-r{number}",
                "lockstep.dev/component": "encoder",
                "lockstep.dev/model": "glyphs",
            },
        }
        spec = {"nodeName": "n1", "containers": []}
        raw = {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
        world.create(raw)
    assert asked(world.pass_time(5)) == []
    assert asked(world.pass_time(5)) == [("Pod", "encoder-2")]
