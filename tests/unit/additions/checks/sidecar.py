"""The toy sidecar runs in the encoder's pods, where its image is given, and speaks for nobody."""

from __future__ import annotations

import dataclasses
from typing import Any

from lockstep_operator.__main__ import config_from
from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.manifests import encoder_name, index_name
from lockstep_operator.manifests.programs import PROGRAMS, PROXY
from tests.unit.decide.worlds import World, healthy
from tests.unit.manifests import test_programs

IMAGES = ("--trainer-image", "trainer:1", "--encoder-image", "encoder:1")
FLAGS = (*IMAGES, "--indexer-image", "indexer:1")


def pod_of(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.objects["Deployment", name]["spec"]["template"]["spec"]
    return found


def with_proxy() -> World:
    world = World()
    images = config_from([*FLAGS, "--proxy-image", "proxy:1"], {}).settings.images
    world.settings = dataclasses.replace(world.settings, images=images)
    return world.apply_model().apply_index().run()


def test_every_place_knows_it() -> None:
    for program in PROGRAMS:
        test_programs.test_every_place_knows_the_program(program)
        test_programs.test_a_program_that_is_added_later_may_lack_in_a_stored_release(program)
    test_programs.test_no_place_knows_a_program_that_the_table_lacks()
    test_programs.test_programs_are_told_apart_by_name_and_sidecars_by_container()


def test_it_runs_beside_every_encoder_and_nowhere_else() -> None:
    world = with_proxy()
    assert world.stage(1) == "Serving"
    encoder = pod_of(world, encoder_name("glyphs-r1"))
    index = pod_of(world, index_name("glyphs-r1", "glyphs"))
    (sidecar,) = encoder["initContainers"]
    assert (sidecar["name"], sidecar["image"]) == (PROXY.container, "proxy:1")
    assert sidecar["restartPolicy"] == "Always"
    assert not any(entry["name"] == "LOCKSTEP_CONFIG" for entry in sidecar["env"])
    assert [container["name"] for container in encoder["containers"]] == ["main"]
    assert "initContainers" not in index


def test_a_release_of_before_it_runs_without() -> None:
    assert "initContainers" not in pod_of(healthy(), encoder_name("glyphs-r1"))


def test_it_does_not_speak_for_the_program() -> None:
    dead = {"terminated": {"exitCode": 3, "message": "the sidecar's own words"}}
    pod = {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "main", "image": "encoder:1"}]},
        "status": {
            "phase": "Running",
            "initContainerStatuses": [{"name": PROXY.container, "state": dead, "lastState": dead}],
            "containerStatuses": [{"name": "main", "state": {"running": {}}, "ready": True}],
        },
    }
    assert pod_status.ended(pod) is None and pod_status.crashed(pod) is None
