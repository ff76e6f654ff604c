"""Worlds whose model has monitors, and what they show to a policy."""

from __future__ import annotations

from lockstep_core.protocol.drift import DriftReport, Measured, RoleReport, Seen
from lockstep_core.protocol.monitoring import TrafficRole
from lockstep_operator.api.release import Images
from lockstep_operator.decide.snapshot.observed import Settings
from tests.unit.decide.worlds.specs import POLICY
from tests.unit.decide.worlds.world import World

MONITORED = Settings(
    images=Images(trainer="trainer:1", encoder="encoder:1", indexer="indexer:1", monitor="m:1")
)
WINDOW_SECONDS = 300


def monitored() -> World:
    """r1 serves, with a monitor beside its encoders."""
    return World(settings=MONITORED).apply_model().apply_index().run()


def show_drift(world: World, *, seen: bool) -> None:
    """The monitors of what serves show invalid embeddings, or nothing of the kind."""
    policy = world.objects.get(("DriftPolicy", POLICY))
    stable = (world.objects["EmbeddingModel", "glyphs"]["status"].get("stable") or {}).get(
        "release"
    )
    if policy is None or stable is None:
        return
    measured = Measured(1, 1000, 0.01, 0.0, 0.02, 0.014)
    role = RoleReport(
        TrafficRole.QUERY,
        samples=1000,
        invalid=40 if seen else 0,
        tolerance=0.03,
        block_calibrated=True,
        measured=(measured,),
        seen=frozenset({Seen.INVALID} if seen else ()),
    )
    window = int(world.now.timestamp() // WINDOW_SECONDS) - 1
    report = DriftReport(stable, window, WINDOW_SECONDS, roles=(role,), pods=1, answered=1)
    world.drift = world.drift | {policy["metadata"]["uid"]: report}
