"""What answers requests: each release its own servers, and the entry point that moves."""

from __future__ import annotations

import pytest

from lockstep_core.protocol.config import CanaryConfig, EncoderConfig
from lockstep_core.protocol.environment import CANARY_VARIABLE
from lockstep_operator import manifests
from tests.unit.manifests.support import samples
from tests.unit.manifests.support.built import (
    config_of,
    container_of,
    services,
    serving,
)

pytestmark = pytest.mark.unit


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


def test_replicas_come_from_the_model_and_the_recipe() -> None:
    found = serving(serving={"replicas": 2, "minReadySeconds": 5})
    assert found["encoder"]["spec"]["replicas"] == 2
    assert found["encoder"]["spec"]["minReadySeconds"] == 5
    assert found["index"]["spec"]["replicas"] == 3


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


def test_a_candidate_is_told_beside_whom_it_stands_and_its_config_is_as_ever() -> None:
    release = samples.release(2)
    beside = manifests.encoder_deployment(samples.model(), release, beside="glyphs-r1")
    alone = manifests.encoder_deployment(samples.model(), release)
    assert config_of(beside) == config_of(alone), "an older encoder would refuse another field"
    told = next(e for e in container_of(beside)["env"] if e["name"] == CANARY_VARIABLE)
    assert CanaryConfig.model_validate_json(told["value"]) == CanaryConfig(
        beside="glyphs-r1", entry_url="http://glyphs.shop.svc:8080"
    )
    assert manifests.follows_index(beside) and not manifests.follows_index(alone)
    kept = manifests.encoder_deployment(
        samples.model(), release, beside="glyphs-r1", follows_index=False
    )
    assert container_of(kept) == container_of(alone)
