"""A training whose pod is deleted goes on from its checkpoint, to the very weights that it would
have had; a data set that cannot be trained on fails before the trainer begins."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.training import steps_done, trained, training_pods
from tests.e2e.support.world import World

STEPS = 900
EVERY = 20
TRAINING: Object = {
    "budget": {"maxSteps": STEPS},
    "evaluation": {"everySteps": 300},
    "checkpoint": {"everySteps": EVERY},
}


@pytest.fixture(scope="module")
def world(make_world: Callable[[str], World]) -> World:
    """A data set, and no model yet."""
    world = make_world("resumes")
    world.draw()
    return world


def test_a_deleted_pod_leaves_its_work_to_the_next_one(world: World) -> None:
    world.kube.apply(world.model(indexing="None", training=TRAINING))

    def training() -> tuple[str, int] | None:
        for pod in training_pods(world):
            name = str(pod["metadata"]["name"])
            # A few reports after its first checkpoint.
            if (done := steps_done(world, pod)) >= 4 * EVERY:
                return name, done
        return None

    first, done = wait_until(training, what="a pod that trains")
    assert done < STEPS, "it ended before it could be deleted"
    world.kube.run("delete", "pod", first, "-n", world.namespace, "--wait=false")

    def replaced() -> bool:
        return any(pod["metadata"]["name"] != first for pod in training_pods(world))

    wait_until(replaced, what="another pod of the Job", seconds=120)
    facts = trained(world)
    assert facts["steps"] == STEPS
    assert done <= facts["resumedFromStep"] < STEPS
    # The Job itself replaced the pod: that is no attempt, and nothing failed.
    status = (world.release(1) or {})["status"]
    assert status["attempts"]["training"] == 1
    assert not status["attempts"].get("failures")
    jobs = world.kube.list(world.namespace, "jobs", f"lockstep.dev/release={world.name}-r1")
    names = [job["metadata"]["name"] for job in jobs]
    assert [name for name in names if "-train-" in name] == [f"{world.name}-r1-train-1"]


def test_the_weights_are_those_of_a_training_that_was_left_alone(world: World) -> None:
    resumed = trained(world)
    alone = World(world.kube, world.namespace, name="alone")
    alone.kube.apply(alone.model(indexing="None", training=TRAINING))
    facts = trained(alone)
    assert "resumedFromStep" not in facts
    for field in ("modelDigest", "spaceID", "steps"):
        assert facts[field] == resumed[field], field


def test_checkpoints_are_removed_once_the_model_is_published(world: World) -> None:
    trained(world)
    left = world.python(
        "left",
        "import pathlib\n"
        "found=pathlib.Path('/artifacts/checkpoints').rglob('*.safetensors*')\n"
        "print(sorted(map(str, found)))\n",
    )
    assert left.strip() == "[]"


def test_what_cannot_be_trained_on_fails_before_the_trainer_begins(world: World) -> None:
    bad = World(world.kube, world.namespace, name="toolarge")
    many = {"batch": {"classes": 500, "perClass": 4}, "maxAttempts": 3}
    bad.kube.apply(bad.model(indexing="None", training=many))
    bad.until_failed(1, seconds=120)
    status = (bad.release(1) or {})["status"]
    failure = status["lastFailure"]
    assert failure["exitCode"] == 3
    assert "batch.classes" in failure["message"]
    # One attempt was enough, and its program never ran.
    assert status["attempts"]["training"] == 1
    (pod,) = training_pods(bad)
    (check,) = pod["status"]["initContainerStatuses"]
    assert check["name"] == "validate"
    assert check["state"]["terminated"]["exitCode"] == 3
    (main,) = pod["status"]["containerStatuses"]
    assert "terminated" not in main["state"]
