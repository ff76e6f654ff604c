"""Jobs: configs, attempts, and the check before a training."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.protocol.config import (
    BuildConfig,
    EvaluateConfig,
    ImportConfig,
    IndexServerConfig,
    TrainConfig,
)
from tests.unit.manifests.support import samples
from tests.unit.manifests.support.built import config_of, container_of, jobs, pod_of, serving

pytestmark = pytest.mark.unit


def test_configs_are_the_protocols() -> None:
    built = {**jobs(), **serving()}
    train = TrainConfig.model_validate_json(config_of(built["train"]))
    imports = ImportConfig.model_validate_json(config_of(built["import"]))
    assert imports.artifact.to_wire() == samples.ARTIFACT
    evaluate = EvaluateConfig.model_validate_json(config_of(built["evaluate"]))
    build = BuildConfig.model_validate_json(config_of(built["build"]))
    server = IndexServerConfig.model_validate_json(config_of(built["index"]))
    assert (train.release, train.release_uid) == ("glyphs-r2", "r2-uid")
    assert evaluate.artifact_digest == samples.digest("a")
    assert evaluate.stable_artifact_digest == samples.digest("f")
    assert train.stable_artifact_digest == samples.digest("f")
    assert (build.index, build.space_id) == ("catalogue", samples.SPACE)
    assert server.build_digest == samples.digest("d")


def test_an_import_is_measured_on_its_own_set_and_others_cannot_be() -> None:
    data = {"uri": "file:///artifacts/held-out.npz", "format": "NPZ"}
    frozen: dict[str, Any] = {"training": None, "artifact": samples.ARTIFACT}
    model = samples.model(training=None, artifact={**samples.ARTIFACT, "activeDeadlineSeconds": 9})
    release = samples.release(2, **frozen, evaluation={"data": data})
    job = samples.job("evaluate", model, release)
    config = EvaluateConfig.model_validate_json(config_of(job))
    assert config.data.uri == data["uri"] and job["spec"]["activeDeadlineSeconds"] == 9
    with pytest.raises(ValueError, match=r"glyphs-r2 was imported without `spec\.evaluation`"):
        samples.job("evaluate", model, samples.release(2, **frozen))
    with pytest.raises(ValueError, match="glyphs-r2 is imported: there is nothing to train"):
        samples.job("train", model, release)
    with pytest.raises(ValueError, match="glyphs-r2 is trained: there is nothing to import"):
        samples.job("import", model, samples.release(2))


def test_recall_is_measured_at_each_gates_k_once() -> None:
    gates = [
        {"name": f"g{i}", "type": "Recall", "k": k, "min": "0.9", "minSamples": 1}
        for i, k in enumerate((10, 1, 10))
    ]
    config = EvaluateConfig.model_validate_json(
        config_of(jobs(rollout={"gates": gates})["evaluate"])
    )
    assert config.recall_at == (1, 10)


@pytest.mark.parametrize("kind", ["train", "import", "evaluate", "build"])
def test_a_job_is_one_attempt(kind: str) -> None:
    job = jobs()[kind]
    spec = job["spec"]
    assert spec["backoffLimit"] == 0 and "ttlSecondsAfterFinished" not in spec
    assert pod_of(job)["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"
    assert job["metadata"]["labels"]["lockstep.dev/attempt"] == "1"
    assert {"name": "progress", "containerPort": 9100, "protocol": "TCP"} in container_of(job)[
        "ports"
    ]
    disruption, *codes = spec["podFailurePolicy"]["rules"]
    assert disruption["action"] == "Ignore"
    ours = ["main", "validate"] if kind == "train" else ["main"]
    names = [
        c["name"] for c in (*pod_of(job)["containers"], *pod_of(job).get("initContainers", ()))
    ]
    assert names == ours
    for name, preempted, failure in zip(ours, codes[::2], codes[1::2], strict=True):
        for rule in (preempted, failure):
            assert rule["onExitCodes"]["containerName"] == name
            assert rule["onExitCodes"]["values"] == [75]
        assert (preempted["action"], preempted["onExitCodes"]["operator"]) == ("Ignore", "In")
        assert (failure["action"], failure["onExitCodes"]["operator"]) == ("FailJob", "NotIn")


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
