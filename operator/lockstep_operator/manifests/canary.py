"""What the encoder of a candidate is told beside its config: whom it stands beside, and where."""

from __future__ import annotations

import json

from lockstep_core.protocol.config import CanaryConfig
from lockstep_core.protocol.environment import CANARY_VARIABLE
from lockstep_operator.api.objects import Object


def canary_environment(entry_url: str, beside: str) -> dict[str, str]:
    """The environment of a candidate of the release `beside`, whose entry point is `entry_url`."""
    told = CanaryConfig(beside=beside, entry_url=entry_url)
    return {CANARY_VARIABLE: json.dumps(told.to_wire(), sort_keys=True, separators=(",", ":"))}


def follows_index(deployment: Object) -> bool:
    """Whether the pods of an encoder's Deployment are told."""
    containers = deployment["spec"]["template"]["spec"].get("containers") or []
    names = (entry.get("name") for found in containers for entry in found.get("env") or [])
    return CANARY_VARIABLE in names
