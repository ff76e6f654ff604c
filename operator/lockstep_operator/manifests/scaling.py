"""The autoscaler of a release's encoder."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_operator.api.kinds import AUTOSCALER, DEPLOYMENT
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.api.scaling import AutoscalingSpec
from lockstep_operator.manifests.metadata import (
    Component,
    metadata,
    owned_by_release,
    standard_labels,
)
from lockstep_operator.manifests.names import encoder_name


@dataclass(frozen=True)
class Bounds:
    """Encoder pods that the autoscaler of a release may choose from.

    `shrinks` is False while the release must keep the pods that it has.
    """

    low: int
    high: int
    shrinks: bool = True


def encoder_autoscaler(spec: AutoscalingSpec, release: Release, bounds: Bounds) -> Object:
    """The HorizontalPodAutoscaler `<release>-encoder`, by CPU."""
    name = encoder_name(release.name)
    labels = standard_labels(release.spec.model, Component.ENCODER, release=release.name)
    seconds = spec.behavior.scale_down_stabilization_seconds
    down: Object = {"selectPolicy": "Max" if bounds.shrinks else "Disabled"}
    if seconds is not None:
        down["stabilizationWindowSeconds"] = seconds
    cpu = {
        "name": "cpu",
        "target": {
            "type": "Utilization",
            "averageUtilization": spec.target_cpu_utilization_percentage,
        },
    }
    return {
        **AUTOSCALER.type_meta,
        "metadata": metadata(name, release.namespace, labels, owned_by_release(release)),
        "spec": {
            "scaleTargetRef": {**DEPLOYMENT.type_meta, "name": name},
            "minReplicas": bounds.low,
            "maxReplicas": bounds.high,
            "metrics": [{"type": "Resource", "resource": cpu}],
            "behavior": {"scaleDown": down},
        },
    }
