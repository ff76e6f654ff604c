"""A sidecar beside a program: one row and one field, with the restrictions of any container."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep_operator.api.objects import Object
from lockstep_operator.api.pods import PodTemplate
from lockstep_operator.manifests.job_configs import JobInputs, train_config
from lockstep_operator.manifests.pods import ProgramSpec, Sidecar, pod_template
from lockstep_operator.manifests.programs import ProgramImage
from tests.unit.manifests.support import samples

pytestmark = pytest.mark.unit

WATCHER = Sidecar(
    program=ProgramImage("watcher", "watches", container="watcher"),
    image="watcher:1",
    command=("lockstep-watcher",),
    requests={"cpu": "10m"},
    port=("watch", 9200),
    environment={"LEVEL": "info"},
    probes={"startupProbe": {"httpGet": {"path": "/readyz", "port": "watch"}}},
)


def pod(*sidecars: Sidecar, check: tuple[str, ...] = ()) -> Object:
    release = samples.release(artifacts=samples.BUCKET)
    program = ProgramSpec(
        command=("lockstep-train", "run"),
        image="trainer:1",
        config=train_config(JobInputs(samples.model(), release, 1)),
        artifacts=release.spec.artifacts,
        writes_artifacts=True,
        port=("progress", 9100),
        requests={"cpu": "250m"},
        check=check,
    )
    found = pod_template(replace(program, sidecars=sidecars), PodTemplate(image="mine:1"), {})
    return dict(found["spec"])


def test_a_sidecar_is_an_init_container_that_runs_as_long_as_the_pod() -> None:
    (sidecar,) = pod(WATCHER)["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert (sidecar["name"], sidecar["image"]) == ("watcher", "watcher:1")
    assert sidecar["ports"] == [{"name": "watch", "containerPort": 9200, "protocol": "TCP"}]
    assert sidecar["startupProbe"]["httpGet"]["port"] == "watch"
    assert sidecar["resources"] == {"requests": {"cpu": "10m"}}


def test_a_sidecar_is_as_restricted_as_the_program_and_has_none_of_its_secrets() -> None:
    found = pod(WATCHER)
    (sidecar,), (main,) = found["initContainers"], found["containers"]
    assert sidecar["securityContext"] == main["securityContext"]
    assert "envFrom" in main and "envFrom" not in sidecar
    assert sidecar["env"] == [{"name": "LEVEL", "value": "info"}]


def test_the_program_is_the_same_beside_a_sidecar() -> None:
    assert pod(WATCHER)["containers"] == pod()["containers"]
    assert "initContainers" not in pod()


def test_the_check_ends_before_a_sidecar_begins() -> None:
    found = pod(WATCHER, check=("lockstep-train", "validate"))
    assert [c["name"] for c in found["initContainers"]] == ["validate", "watcher"]
