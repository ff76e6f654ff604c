"""What the builders promise: ownership, pairing, Pod Security, and the same bytes each time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lockstep_core.protocol.config import (
    BuildConfig,
    EncoderConfig,
    EvaluateConfig,
    ImportConfig,
    IndexServerConfig,
    TrainConfig,
)
from lockstep_operator import manifests
from lockstep_operator.api.objects import Object, parse_model
from lockstep_operator.api.release import EmbeddingReleaseSpec
from lockstep_operator.api.scaling import AutoscalingSpec
from lockstep_operator.manifests.scaling import Bounds
from tests.unit.manifests.support import samples

pytestmark = pytest.mark.unit


def imported_job() -> Object:
    """A release that imports, of a model that is trained by now: Jobs follow the release."""
    frozen: dict[str, Any] = {"training": None, "artifact": samples.ARTIFACT}
    return samples.job("import", samples.model(), samples.release(2, trained=False, **frozen))


def jobs(**spec: Any) -> dict[str, Object]:
    model, release = samples.model(**spec), samples.release(2)
    stable, frozen = samples.release(1, letter="f"), release.spec.indexes[0]
    return {
        "train": samples.job("train", model, release, stable=stable),
        "import": imported_job(),
        "evaluate": samples.job("evaluate", model, release, stable=stable),
        "build": samples.job("build", model, release, index=frozen, recipe=samples.index()),
    }


def serving(**spec: Any) -> dict[str, Object]:
    model, release = samples.model(**spec), samples.release(2)
    frozen = release.spec.indexes[0]
    return {
        "encoder": manifests.encoder_deployment(model, release),
        "index": manifests.index_deployment(model, release, frozen, samples.index(replicas=3)),
    }


def services() -> dict[str, Object]:
    model, release = samples.model(), samples.release(2)
    return {
        "encoder": manifests.encoder_service(release),
        "index": manifests.index_service(release, release.spec.indexes[0]),
        "entry": manifests.entry_service(model, release),
    }


def pod_of(found: Object) -> Object:
    return dict(found["spec"]["template"]["spec"])


def container_of(found: Object) -> Object:
    (container,) = pod_of(found)["containers"]
    return dict(container)


def config_of(found: Object) -> str:
    (text,) = [e["value"] for e in container_of(found)["env"] if e["name"] == "LOCKSTEP_CONFIG"]
    return str(text)


def everything() -> Iterator[Object]:
    yield from jobs().values()
    yield from serving().values()
    yield from services().values()
    scaling = AutoscalingSpec(max_replicas=3)
    yield manifests.encoder_autoscaler(scaling, samples.release(2), Bounds(1, 3))


WORKLOADS = {**jobs(), **serving()}


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


@pytest.mark.parametrize(
    "found", list(everything()), ids=lambda o: f"{o['kind']}-{o['metadata']['name']}"
)
def test_every_object_has_its_labels_and_one_controller(found: Object) -> None:
    labels, (owner,) = found["metadata"]["labels"], found["metadata"]["ownerReferences"]
    assert labels["lockstep.dev/model"] == "glyphs"
    assert labels["app.kubernetes.io/managed-by"] == "lockstep"
    assert labels["lockstep.dev/component"] == labels["app.kubernetes.io/component"]
    assert owner["controller"] and owner["blockOwnerDeletion"]
    if found["metadata"]["name"] == "glyphs":
        assert (owner["kind"], owner["uid"]) == ("EmbeddingModel", "em-uid")
    else:
        assert (owner["kind"], owner["uid"]) == ("EmbeddingRelease", "r2-uid")
        assert labels["lockstep.dev/release"] == "glyphs-r2"


def test_manifests_are_the_same_bytes_each_time() -> None:
    assert json.dumps(list(everything())) == json.dumps(list(everything()))


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


def test_the_encoder_knows_exactly_its_own_indexes() -> None:
    release = samples.release(3, indexes=("b", "encoder", "a"))
    config = EncoderConfig.model_validate_json(
        config_of(manifests.encoder_deployment(samples.model(), release))
    )
    assert [i.name for i in config.indexes] == ["a", "b", "encoder"]
    for endpoint, frozen in zip(
        config.indexes, sorted(release.spec.indexes, key=lambda i: i.name), strict=True
    ):
        service = manifests.index_service(release, frozen)
        assert endpoint.url == f"http://{service['metadata']['name']}.shop.svc:8080"
        assert endpoint.build_digest == samples.digest("d")


def test_an_encoder_without_all_its_builds_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="glyphs-r1 has no build of index catalogue"):
        manifests.encoder_deployment(samples.model(), samples.release(built=False))
    with pytest.raises(ValueError, match="glyphs-r1 has no model artifact"):
        manifests.encoder_deployment(samples.model(), samples.release(trained=False))


def test_a_release_that_reuses_a_model_serves_that_model() -> None:
    reuse = {"release": "glyphs-r1", "training": samples.training_facts("f")}
    release = samples.release(2, trained=False, reuse=reuse)
    config = EncoderConfig.model_validate_json(
        config_of(manifests.encoder_deployment(samples.model(), release))
    )
    assert config.artifact_digest == samples.digest("f")


@pytest.mark.parametrize("component", ["encoder", "index"])
def test_services_select_pods_of_their_release_alone(component: str) -> None:
    selector = services()[component]["spec"]["selector"]
    workload = serving()[component]
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert selector == workload["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert selector["lockstep.dev/release"] == "glyphs-r2"
    port = services()[component]["spec"]["ports"][0]
    assert port["targetPort"] in {p["name"] for p in container_of(workload)["ports"]}


def test_the_entry_point_moves_whole() -> None:
    model = samples.model()
    first = manifests.entry_service(model, samples.release(1))
    second = manifests.entry_service(model, samples.release(2))
    assert second["spec"]["selector"] == services()["encoder"]["spec"]["selector"]
    differing = {k for k in first["spec"] if first["spec"][k] != second["spec"][k]}
    assert differing == {"selector"} and first["metadata"] == second["metadata"]


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


def test_replicas_come_from_the_model_and_the_recipe() -> None:
    found = serving(serving={"replicas": 2, "minReadySeconds": 5})
    assert found["encoder"]["spec"]["replicas"] == 2
    assert found["encoder"]["spec"]["minReadySeconds"] == 5
    assert found["index"]["spec"]["replicas"] == 3


def test_an_autoscaler_counts_and_the_deployment_names_no_number() -> None:
    scaling = {
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 60,
        "behavior": {"scaleDownStabilizationSeconds": 0},
    }
    model = samples.model(serving={"replicas": 4, "autoscaling": scaling})
    release = samples.release(2)
    deployment = manifests.encoder_deployment(model, release)
    assert "replicas" not in deployment["spec"]
    assert manifests.encoder_deployment(model, release, replicas=2)["spec"]["replicas"] == 2
    asked = model.spec.serving.autoscaling
    assert asked is not None
    found = manifests.encoder_autoscaler(asked, release, Bounds(3, 5))
    spec = found["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 5)
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 60
    assert spec["behavior"]["scaleDown"] == {"selectPolicy": "Max", "stabilizationWindowSeconds": 0}
    held = manifests.encoder_autoscaler(asked, release, Bounds(3, 5, shrinks=False))
    assert held["spec"]["behavior"]["scaleDown"]["selectPolicy"] == "Disabled"
    # A utilisation is a share of what is requested, so there must be a request.
    assert container_of(deployment)["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("component", ["encoder", "index"])
def test_a_pod_goes_only_when_the_one_that_replaces_it_is_ready(component: str) -> None:
    """A broken template would otherwise take the only server of an index with it."""
    found = serving()[component]
    assert found["kind"] == "Deployment"
    assert found["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    assert found["spec"]["progressDeadlineSeconds"] == 900


def test_a_deleted_recipe_builds_and_serves_with_defaults() -> None:
    model, release = samples.model(), samples.release()
    frozen = release.spec.indexes[0]
    assert samples.job("build", model, release, index=frozen)["spec"]["activeDeadlineSeconds"]
    assert manifests.index_deployment(model, release, frozen, None)["spec"]["replicas"] == 1


def test_the_release_object_carries_the_frozen_spec() -> None:
    model = samples.model()
    spec = EmbeddingReleaseSpec.model_validate(samples.release_spec(4))
    found = manifests.release_manifest(model, 4, spec)
    assert found["metadata"]["name"] == "glyphs-r4"
    assert EmbeddingReleaseSpec.model_validate(found["spec"]) == spec
    assert "status" not in found
    with pytest.raises(ValueError, match="spec of glyphs-r4 given for glyphs-r5"):
        manifests.release_manifest(model, 5, spec)


def test_an_object_without_uid_owns_nothing() -> None:
    raw = {"metadata": {"name": "glyphs", "namespace": "shop"}, "spec": samples.model().raw["spec"]}
    unsaved = parse_model(raw)
    with pytest.raises(ValueError, match="EmbeddingModel glyphs has no uid"):
        manifests.entry_service(unsaved, samples.release())
