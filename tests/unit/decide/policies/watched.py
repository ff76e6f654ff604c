"""A world whose model is watched by a policy, and what its monitors show; no test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lockstep_core.protocol.drift import DriftReport, Measured, RoleReport, Seen
from lockstep_core.protocol.monitoring import TrafficRole
from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Images
from lockstep_operator.decide.snapshot.observed import Settings
from tests.unit.decide import worlds
from tests.unit.decide.worlds.specs import POLICY, own_object, policy_spec

SECONDS = 300
SETTINGS = Settings(
    images=Images(trainer="trainer:1", encoder="encoder:1", indexer="indexer:1", monitor="m:1")
)
EVIDENCE = {"when": "Evidence"}


def watched(model: dict[str, Any] | None = None, **spec: Any) -> worlds.World:
    """r1 serves with monitors, and a policy watches it; no window was read yet."""
    world = worlds.World(settings=SETTINGS).apply_model(**(model or {})).apply_index().run()
    world.create(own_object("DriftPolicy", POLICY, policy_spec(**spec)))
    return world.settle()


def uid(world: worlds.World) -> str:
    return str(world.objects["DriftPolicy", POLICY]["metadata"]["uid"])


def status(world: worlds.World) -> Object:
    found: Object = world.objects["DriftPolicy", POLICY]["status"]
    return found


def condition(world: worlds.World, kind: str) -> tuple[str, str] | None:
    found = (c for c in status(world).get("conditions", []) if c["type"] == kind)
    return next(((c["status"], c["reason"]) for c in found), None)


def window_now(world: worlds.World) -> int:
    return int(world.now.timestamp() // SECONDS) - 1


def role(value: float = 0.012, *, seen: tuple[Seen, ...] = (), **fields: Any) -> RoleReport:
    """One role that is judged."""
    measured = Measured(1, 1000, value, max(0.0, value - 0.012), value + 0.007, 0.014)
    judged = RoleReport(
        TrafficRole.QUERY,
        samples=1000,
        tolerance=0.03,
        block_calibrated=True,
        measured=(measured,),
        evidence_log10=4.2 if Seen.EVIDENCE in seen else 0.4,
        threshold_log10=3.94,
        seen=frozenset(seen),
    )
    return replace(judged, **fields)


def show(world: worlds.World, *roles: RoleReport, release: str = "", **fields: Any) -> Object:
    """The next window closes, and shows this. Returns the status after it."""
    world.pass_time(SECONDS)
    serving = release or str(world.status["stable"]["release"])
    report = DriftReport(
        serving, window_now(world), SECONDS, roles=roles, pods=2, answered=2, **fields
    )
    world.drift = world.drift | {uid(world): report}
    world.settle()
    return status(world)


def drift(world: worlds.World, seen: Seen = Seen.EVIDENCE, **fields: Any) -> Object:
    fields = {"began": window_now(world) - 40} | fields
    return show(world, role(0.052, seen=(seen,), **fields))


def quiet(world: worlds.World) -> Object:
    return show(world, role())


def annotate(world: worlds.World, key: str, value: str | None) -> worlds.World:
    def change(raw: Object) -> None:
        annotations = raw["metadata"].setdefault("annotations", {})
        annotations.pop(f"lockstep.dev/{key}", None)
        if value is not None:
            annotations[f"lockstep.dev/{key}"] = value
            named: Object = {"f:metadata": {"f:annotations": {f"f:lockstep.dev/{key}": {}}}}
            raw["metadata"]["managedFields"] = [{"manager": "kubectl-annotate", "fieldsV1": named}]

    world.edit("DriftPolicy", POLICY, change)
    return world.settle()


def change(world: worlds.World, **fields: Any) -> worlds.World:
    world.edit("DriftPolicy", POLICY, lambda raw: raw["spec"].update(fields))
    return world.settle()
