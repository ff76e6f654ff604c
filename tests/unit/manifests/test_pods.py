"""The pod of any program: its restrictions, its store, its check and its sidecars."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep_core.protocol.config import (
    TrainConfig,
)
from lockstep_operator.api.objects import Object
from lockstep_operator.api.pods import PodTemplate
from lockstep_operator.manifests.job_configs import JobInputs, train_config
from lockstep_operator.manifests.pods import ProgramSpec, Sidecar, pod_template
from tests.unit.manifests.support import samples
from tests.unit.manifests.support.built import (
    WORKLOADS,
    config_of,
    container_of,
    jobs,
    pod_of,
    serving,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_pods_meet_the_restricted_standard(workload: Object) -> None:
    pod, container = pod_of(workload), container_of(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


def test_volumes_are_read_only_where_pods_serve() -> None:
    for name, workload in {**jobs(), **serving()}.items():
        mounts = {m["name"]: m for m in container_of(workload)["volumeMounts"]}
        assert mounts["artifacts"]["mountPath"] == "/artifacts"
        assert mounts["artifacts"].get("readOnly", False) is (name in {"encoder", "index"})
        assert {
            "name": "artifacts",
            "persistentVolumeClaim": {"claimName": "lockstep-artifacts"},
        } in pod_of(workload)["volumes"]


def test_an_object_store_is_reached_with_the_secret_and_no_volume() -> None:
    job = samples.job("train", samples.model(), samples.release(1, artifacts=samples.BUCKET))
    assert container_of(job)["envFrom"] == [{"secretRef": {"name": "store-keys"}}]
    assert [v["name"] for v in pod_of(job)["volumes"]] == ["tmp"]
    config = TrainConfig.model_validate_json(config_of(job))
    assert config.artifacts.endpoint == "http://s3.storage.svc:7070"


def test_training_is_checked_first_without_the_device_and_without_writing() -> None:
    resources = {"limits": {"memory": "4Gi", "nvidia.com/gpu": "1"}}
    training = {**samples.TRAINING, "template": {"image": "mine:7", "resources": resources}}
    job = jobs(training=training)["train"]
    (check,), container = pod_of(job)["initContainers"], container_of(job)
    assert check["command"] == ["lockstep-train", "validate"]
    assert container["command"] == ["lockstep-train", "run"]
    assert check["resources"] == {"requests": {"cpu": "250m"}, "limits": {"memory": "4Gi"}}
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    same = ("image", "env", "securityContext", "terminationMessagePath")
    assert all(check[field] == container[field] for field in same)
    mounts = {m["name"]: m for m in check["volumeMounts"]}
    assert mounts["artifacts"]["readOnly"] is True and mounts["tmp"]["mountPath"] == "/tmp"
    assert "ports" not in check
    assert pod_of(job)["terminationGracePeriodSeconds"] == 60
    bucket = samples.job("train", samples.model(), samples.release(1, artifacts=samples.BUCKET))
    (check,) = pod_of(bucket)["initContainers"]
    assert check["envFrom"] == [{"secretRef": {"name": "store-keys"}}]


def test_a_template_overrides_image_place_and_resources() -> None:
    template = {
        "image": "mine/trainer:7",
        "resources": {
            "requests": {"cpu": "1000m"},
            "limits": {"memory": "4096Mi", "nvidia.com/gpu": "1"},
        },
        "nodeSelector": {"gpu": "yes"},
        "tolerations": [{"key": "nvidia.com/gpu"}],
        "priorityClassName": "batch",
    }
    training = {**samples.TRAINING, "template": template}
    job = jobs(training=training)["train"]
    container, pod = container_of(job), pod_of(job)
    assert container["image"] == "mine/trainer:7"
    # The default memory request steps back: the limit stands for it.
    assert container["resources"] == {
        "requests": {"cpu": "1"},
        "limits": {"memory": "4Gi", "nvidia.com/gpu": "1"},
    }
    assert pod["nodeSelector"] == {"gpu": "yes"} and pod["priorityClassName"] == "batch"
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_images_are_the_releases_own() -> None:
    images = {name: container_of(w)["image"] for name, w in WORKLOADS.items()}
    assert images == {
        "train": "trainer:1",
        "import": "encoder:1",
        "evaluate": "encoder:1",
        "build": "indexer:1",
        "encoder": "encoder:1",
        "index": "indexer:1",
    }


def test_pull_secrets_reach_the_pod() -> None:
    job = samples.job("train", samples.model(), samples.release(), pull_secrets=("mirror",))
    assert pod_of(job)["imagePullSecrets"] == [{"name": "mirror"}]
    assert all("imagePullSecrets" not in pod_of(w) for w in WORKLOADS.values())


WATCHER = Sidecar(
    name="watcher",
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
