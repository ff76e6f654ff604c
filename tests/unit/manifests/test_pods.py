"""Pods: Pod Security, volumes, images, templates."""

from __future__ import annotations

import pytest

from lockstep_core.protocol.config import TrainConfig
from lockstep_operator.api.objects import Object
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
