"""The monitor beside every encoder: what it is told, and what the encoder is told of it."""

from __future__ import annotations

from lockstep_core.protocol.environment import MONITOR_PORT, MONITOR_VARIABLE
from lockstep_core.protocol.monitoring import MONITOR_DIRECTORY, MonitorConfig, TapConfig
from lockstep_operator.api.objects import Model, Release
from lockstep_operator.manifests.pods import SharedFolder, Sidecar, as_variable
from lockstep_operator.manifests.programs import MONITOR

MONITOR_PORT_NAME = "monitor"
MONITOR_REQUESTS = {"cpu": "10m", "memory": "64Mi"}
# Twice `MAX_HANDOVER_BYTES`, while a file is written beside the one that it replaces, and the
# windows that a monitor keeps.
_FOLDER = SharedFolder("monitor", MONITOR_DIRECTORY, "96Mi")


def has_monitor(model: Model, release: Release) -> bool:
    """Whether the encoder's pods of the release carry a monitor.

    Images are frozen: a release of before there was one runs without, for as long as it serves.
    """
    return model.spec.monitoring.enabled and release.spec.images.monitor is not None


def monitor_sidecars(model: Model, release: Release) -> tuple[Sidecar, ...]:
    """The monitor, or nothing.

    It has no probe: a pod is as ready as its encoder, and an answer must not wait for statistics.
    """
    if not has_monitor(model, release):
        return ()
    config = MonitorConfig(
        model=release.spec.model,
        release=release.name,
        namespace=release.namespace,
        window_seconds=model.spec.monitoring.window_seconds,
    )
    return (
        Sidecar(
            MONITOR.container,
            MONITOR.of(release.spec.images),
            ("lockstep-monitor", "serve"),
            MONITOR_REQUESTS,
            port=(MONITOR_PORT_NAME, MONITOR_PORT),
            environment={MONITOR_VARIABLE: as_variable(config)},
            folders=(_FOLDER,),
        ),
    )


def tap_environment(model: Model, release: Release) -> dict[str, str]:
    """What the encoder is told beside its config: where its samples go, and how many at most."""
    if not has_monitor(model, release):
        return {}
    tap = TapConfig(max_per_second=model.spec.monitoring.max_per_second)
    return {MONITOR_VARIABLE: as_variable(tap)}
