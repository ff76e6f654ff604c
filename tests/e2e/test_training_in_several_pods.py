"""One training in two pods: they meet, share each batch, and outlive the loss of one of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.training import steps_done, trained, training_pods
from tests.e2e.support.world import World

STEPS, EVERY = 400, 20
TRAINING: Object = {
    "budget": {"maxSteps": STEPS},
    "evaluation": {"everySteps": 200},
    "checkpoint": {"everySteps": EVERY},
    "distributed": {"pods": 2, "processesPerPod": 1},
}
INDEX = "batch.kubernetes.io/job-completion-index"


@pytest.fixture(scope="module")
def world(make_world: Callable[[str], World]) -> World:
    world = make_world("pods")
    world.draw()
    return world


def pods(world: World) -> dict[str, Object]:
    """The pods of the training that are not ended, by their index."""
    return {
        pod["metadata"]["annotations"][INDEX]: pod
        for pod in training_pods(world)
        if pod["status"].get("phase") in ("Pending", "Running")
        and "deletionTimestamp" not in pod["metadata"]
    }


def test_two_pods_train_one_model_and_one_of_them_is_lost(world: World) -> None:
    world.kube.apply(world.model(indexing="None", training=TRAINING))

    def training() -> tuple[dict[str, Object], int] | None:
        found = pods(world)
        if "0" not in found or "1" not in found:
            return None
        done = steps_done(world, found["0"])
        return (found, done) if done >= 4 * EVERY else None

    both, done = wait_until(training, what="two pods that train", seconds=300)
    services = world.kube.list(world.namespace, "services", f"lockstep.dev/release={world.name}-r1")
    assert [found["spec"]["clusterIP"] for found in services if "-train-" in str(found)] == ["None"]
    # Pod 1 decides nothing: its loss is seen by pod 0 alone.
    lost = str(both["1"]["metadata"]["name"])
    world.kube.run("delete", "pod", lost, "-n", world.namespace, "--wait=false")

    facts = trained(world, seconds=400)
    assert facts["steps"] == STEPS
    assert done <= facts["resumedFromStep"] < STEPS
    status = (world.release(1) or {})["status"]
    assert status["attempts"]["training"] == 1, "the Job itself replaced its pods"
    assert not status["attempts"].get("failures")
    (job,) = world.kube.list(world.namespace, "jobs", "lockstep.dev/component=train")
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["status"]["succeeded"] == 2, "each pod ended well"


def test_what_two_pods_trained_passes_its_gate_and_serves(world: World) -> None:
    world.until_healthy(1, seconds=120)
    services = world.kube.list(world.namespace, "services", f"lockstep.dev/release={world.name}-r1")
    assert not [found for found in services if "-train-" in found["metadata"]["name"]]
