"""Autoscaling of a release's encoder: the fields of a HorizontalPodAutoscaler that are of use."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from lockstep_core.protocol.base import Contract, rule, validations


class ScalingBehavior(Contract):
    """How fast the number of pods follows the load."""

    scale_down_stabilization_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="How long the load must stay low before pods go; 300 when unset.",
    )


class AutoscalingSpec(Contract):
    """One HorizontalPodAutoscaler a release, for its encoder pods."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
                "`minReplicas` must be at most `maxReplicas`",
                ".minReplicas",
            )
        )
    )

    min_replicas: int = Field(default=1, ge=1, le=1000, description="Fewest encoder pods.")
    max_replicas: int = Field(ge=1, le=1000, description="Most encoder pods.")
    target_cpu_utilization_percentage: int = Field(
        default=80,
        ge=1,
        le=1000,
        alias="targetCPUUtilizationPercentage",
        description="CPU that the pods should use on average, in percent of what they request"
        " (`serving.template.resources.requests.cpu`; 50m when unset).",
    )
    behavior: ScalingBehavior = Field(
        default_factory=ScalingBehavior, description="How fast it follows the load."
    )
