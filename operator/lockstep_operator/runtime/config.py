"""What the operator process is started with."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_operator.decide.snapshot.observed import Settings


@dataclass(frozen=True)
class Config:
    """From the environment and the flags, checked before anything starts."""

    settings: Settings
    namespaces: tuple[str, ...]
    pod_name: str
    pod_namespace: str
    lease_name: str
    lease_seconds: float
    health_port: int
    resync_seconds: float
    workers: int
    log_level: str
    log_format: str
