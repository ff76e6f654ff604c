"""A training of several pods: an Indexed Job, and the Service by which they find pod 0."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.protocol.config import TrainConfig
from lockstep_operator import manifests
from lockstep_operator.api.objects import Object
from tests.unit.manifests.support import samples

pytestmark = pytest.mark.unit


def job(attempt: int = 1, **distributed: int) -> Object:
    limits = {"amd.com/gpu": "4", "memory": "64Gi"}
    training: dict[str, Any] = {
        **samples.TRAINING,
        "distributed": distributed,
        "template": {"resources": {"limits": limits}},
    }
    return samples.job("train", samples.model(training=training), samples.release(), attempt)


def environment(found: Object) -> dict[str, str]:
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_several_pods_have_indexes_and_meet_at_the_first() -> None:
    found = job(attempt=2, pods=3, processesPerPod=4)
    spec, pod = found["spec"], found["spec"]["template"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    # One pod is replaced alone; whatever else fails, fails the attempt.
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    service = manifests.rendezvous_service(samples.release())
    name = service["metadata"]["name"]
    assert pod["subdomain"] == name == manifests.rendezvous_name(samples.release().name)
    told = environment(found)
    # The Job controller names pods `<job>-<index>`.
    assert told["MASTER_ADDR"] == f"{found['metadata']['name']}-0.{name}"
    assert told["MASTER_PORT"] == str(service["spec"]["ports"][0]["port"])
    assert pod["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "4"


def test_the_service_names_pods_of_the_training_alone_before_they_are_ready() -> None:
    service = manifests.rendezvous_service(samples.release())
    spec, labels = service["spec"], job(pods=2)["spec"]["template"]["metadata"]["labels"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert spec["selector"].items() <= labels.items()
    assert spec["selector"]["lockstep.dev/component"] == "train"
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("EmbeddingRelease", samples.release().uid)


def test_names_fit_and_no_index_takes_them() -> None:
    longest = f"{'a' * 30}-r1000000"
    service = manifests.rendezvous_name(longest)
    assert len(service) <= 63
    assert len(f"{manifests.job_name(longest, manifests.JobKind.TRAIN, 1000)}-255") <= 63
    assert manifests.index_name("glyphs-r1", "train") != manifests.rendezvous_name("glyphs-r1")


def test_one_pod_is_a_plain_job_however_many_processes_it_has() -> None:
    found = job(processesPerPod=4)
    assert "completionMode" not in found["spec"]
    assert "subdomain" not in found["spec"]["template"]["spec"]
    assert "MASTER_ADDR" not in environment(found)
    config = TrainConfig.model_validate_json(environment(found)["LOCKSTEP_CONFIG"])
    assert config.training.distributed.processes == 4


def test_the_number_of_processes_is_that_of_now_as_the_template_is() -> None:
    release = samples.release()
    assert release.spec.training is not None
    assert release.spec.training.distributed.processes == 1
    config = environment(job(pods=2, processesPerPod=2))["LOCKSTEP_CONFIG"]
    assert TrainConfig.model_validate_json(config).training.distributed.processes == 4
