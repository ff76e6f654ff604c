"""The monitor beside every encoder: what it is told, and what the encoder is told of it."""

from __future__ import annotations

from lockstep_core.protocol.environment import MONITOR_PORT, MONITOR_VARIABLE
from lockstep_core.protocol.monitoring import (
    MONITOR_DIRECTORY,
    MonitorConfig,
    RecallConfig,
    RecallIndex,
    TapConfig,
)
from lockstep_operator.api.objects import Model, Release
from lockstep_operator.manifests.facts import build_facts
from lockstep_operator.manifests.names import index_name
from lockstep_operator.manifests.pods import SharedFolder, Sidecar, as_variable
from lockstep_operator.manifests.programs import MONITOR
from lockstep_operator.manifests.servers import url_of

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
    Raises ValueError while the release lacks one of its builds.
    """
    if not has_monitor(model, release):
        return ()
    config = MonitorConfig(
        model=release.spec.model,
        release=release.name,
        namespace=release.namespace,
        window_seconds=model.spec.monitoring.window_seconds,
        recall=_recall(model, release),
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


def _recall(model: Model, release: Release) -> RecallConfig | None:
    """Which indexes it asks about live searches: all of its own release."""
    asked = model.spec.monitoring.recall
    if not asked.per_minute or not release.spec.indexes:
        return None
    builds = {frozen.name: build_facts(release, frozen.name) for frozen in release.spec.indexes}
    return RecallConfig(
        per_minute=asked.per_minute,
        k=asked.k,
        indexes=tuple(
            RecallIndex(
                name=name,
                url=url_of(index_name(release.name, name), release.namespace),
                build_digest=build.build_digest,
                space_id=build.space_id,
            )
            for name, build in sorted(builds.items())
        ),
    )


def tap_environment(model: Model, release: Release) -> dict[str, str]:
    """What the encoder is told beside its config: where its samples go, and how many at most."""
    if not has_monitor(model, release):
        return {}
    tap = TapConfig(max_per_second=model.spec.monitoring.max_per_second)
    return {MONITOR_VARIABLE: as_variable(tap)}
