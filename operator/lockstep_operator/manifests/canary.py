"""What the encoder of a candidate is told beside its config: whom it stands beside, and where."""

from __future__ import annotations

from lockstep_core.protocol.config import CanaryConfig
from lockstep_core.protocol.environment import CANARY_VARIABLE
from lockstep_operator.api.objects import Object
from lockstep_operator.manifests.pods import as_variable


def canary_environment(entry_url: str, beside: str) -> dict[str, str]:
    """The environment of a candidate of the release `beside`, whose entry point is `entry_url`."""
    config = CanaryConfig(beside=beside, entry_url=entry_url)
    return {CANARY_VARIABLE: as_variable(config)}


def follows_index(deployment: Object) -> bool:
    """Whether the pods of an encoder's Deployment are told."""
    containers = deployment["spec"]["template"]["spec"].get("containers") or []
    names = (entry.get("name") for each in containers for entry in each.get("env") or [])
    return CANARY_VARIABLE in names
