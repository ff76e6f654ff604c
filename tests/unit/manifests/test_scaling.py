"""The autoscaler of an encoder."""

from __future__ import annotations

import pytest

from lockstep_operator import manifests
from lockstep_operator.manifests.scaling import Bounds
from tests.unit.manifests.support import samples
from tests.unit.manifests.support.built import (
    container_of,
)

pytestmark = pytest.mark.unit


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
