"""Pods behind the entry point that no release runs: named, and never said not to answer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

HASH = "5d7f"


def labels_of(world: World, deployment: str) -> dict[str, str]:
    template = world.objects["Deployment", deployment]["spec"]["template"]
    return dict(template["metadata"]["labels"])


def add_pod(
    world: World, name: str, own: dict[str, str], maker: str | None = None, phase: str = "Running"
) -> World:
    """A pod with these labels; `maker` is its ReplicaSet."""
    metadata: dict[str, Any] = {"name": name, "labels": own}
    if maker is not None:
        metadata["ownerReferences"] = worlds.made_by(maker)
    world.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}})
    world.set_status("Pod", name, {"phase": phase})
    return world.settle()


def test_a_canary_pod_whose_labels_were_edited_outlives_its_release_and_is_named() -> None:
    world = worlds.canary(at=1)
    # Someone took the hash off: the ReplicaSet lets go of the pod, and makes another one.
    add_pod(world, "glyphs-r2-encoder-5d7f-x", labels_of(world, "glyphs-r2-encoder"))
    world.annotate("abort", "r2").settle().pass_time(31).settle()
    assert world.stage(2) == "Superseded"
    assert world.says("Serving") == ("True", "Serving"), "r1 alone is selected again"
    own = labels_of(world, "glyphs-r1-encoder")
    world.remove("Pod", "glyphs-r2-encoder-5d7f-x")
    add_pod(world, "glyphs-r2-encoder-5d7f-x", own)
    message = world.status["message"]
    assert "serves all requests" not in message
    assert "Pods that no release runs may answer too: glyphs-r2-encoder-5d7f-x;" in message
    assert world.says("Serving") == ("True", "StrayPods")
    (command,) = re.findall(r"kubectl delete pod -n (\S+) ([^.;]+)", message)
    assert command == (worlds.NAMESPACE, "glyphs-r2-encoder-5d7f-x")


def test_a_healthy_model_is_degraded_until_the_stray_is_gone() -> None:
    world = worlds.healthy()
    add_pod(world, "copy", labels_of(world, "glyphs-r1-encoder"))
    assert (world.status["phase"], world.says("Ready")) == ("Degraded", ("False", "StrayPods"))
    assert world.status["message"].startswith("r1 serves. Pods that no release runs")
    world.remove("Pod", "copy")
    world.settle()
    assert (world.status["phase"], world.says("Ready")) == ("Healthy", ("True", "Healthy"))
    assert world.status["message"].startswith("r1 serves all requests.")


def test_a_stray_beside_a_canary_is_told_while_the_shares_are() -> None:
    world = worlds.canary(at=1)
    add_pod(world, "copy", labels_of(world, "glyphs-r2-encoder"))
    assert "may answer too: copy;" in world.status["message"]
    assert world.says("Serving") == ("True", "StrayPods")


def test_pods_of_a_release_are_none() -> None:
    world = worlds.canary(at=1)
    for release in ("glyphs-r1", "glyphs-r2"):
        for workload in (f"{release}-encoder", f"{release}-glyphs"):
            own = labels_of(world, workload)
            add_pod(world, f"{workload}-{HASH}-a", own, f"{workload}-{HASH}")
    assert world.says("Serving") == ("True", "Serving")
    assert "may answer too" not in world.status["message"]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_answers_nothing(phase: str) -> None:
    world = worlds.healthy()
    add_pod(world, "copy", labels_of(world, "glyphs-r1-encoder"), phase=phase)
    assert world.status["message"].startswith("r1 serves all requests.")


def test_a_pod_of_an_index_is_named_as_well() -> None:
    """The encoder would withhold its answers: each search that reaches it fails."""
    world = worlds.healthy()
    add_pod(world, "index-copy", labels_of(world, "glyphs-r1-glyphs"))
    assert "may answer too: index-copy;" in world.status["message"]


def test_a_pod_that_a_copied_deployment_makes_names_its_maker() -> None:
    world = worlds.healthy()
    add_pod(world, "mine-77-x", labels_of(world, "glyphs-r1-encoder"), "mine-77")
    message = world.status["message"]
    assert "mine-77-x (ReplicaSet mine-77); delete what made those that name it" in message
    assert "kubectl delete pod" not in message


def test_a_label_added_by_hand_that_keeps_a_candidate_out_is_named() -> None:
    world = worlds.two()
    steps = {"steps": worlds.STEPS}
    world.change_model("serving.replicas", 3).change_model("rollout.steps", steps["steps"]).run()
    world.change_model("training.seed", 99).run_to("Canary", 3)
    own = labels_of(world, "glyphs-r1-encoder")
    kept = f"glyphs-r1-encoder-{HASH}"
    add_pod(world, f"{kept}-a", own, kept)
    assert "may answer too" not in world.status["message"]
    add_pod(world, f"{kept}-b", own | {"entry.lockstep.dev/glyphs-r2": "true"}, kept)
    assert f"may answer too: {kept}-b; remove them: kubectl" in world.status["message"]


def test_pods_of_a_release_whose_record_is_gone_are_left_to_garbage_collection() -> None:
    world = worlds.canary(at=1)
    own = labels_of(world, "glyphs-r1-encoder") | {"lockstep.dev/release": "glyphs-r9"}
    add_pod(world, f"glyphs-r9-encoder-{HASH}-x", own, f"glyphs-r9-encoder-{HASH}")
    assert "may answer too" not in world.status["message"]


def test_pods_of_jobs_and_of_other_models_are_none_of_it() -> None:
    world = worlds.second("Training")
    own = labels_of(world, "glyphs-r1-encoder") | {"lockstep.dev/release": "glyphs-r7"}
    add_pod(world, "elsewhere", own)
    assert world.says("Serving") == ("True", "Serving")


def test_many_are_counted_and_not_all_named() -> None:
    world = worlds.healthy()
    for number in range(9):
        add_pod(world, f"copy-{number}", labels_of(world, "glyphs-r1-encoder"))
    message = world.status["message"]
    assert "copy-5 and 3 more; remove them" in message and "copy-6" not in message
