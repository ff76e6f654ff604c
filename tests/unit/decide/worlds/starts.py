"""Worlds in which many tests begin. Each is made once; a test gets a copy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.decide.worlds.operator import Killed
from tests.unit.decide.worlds.specs import ERRORS, GATE, STEPS, model_spec
from tests.unit.decide.worlds.world import World


def healthy(**changes: Any) -> World:
    """r1 serves."""
    return _remembered(
        f"healthy {changes}", lambda: World().apply_model(**changes).apply_index().run()
    )


def second(stage: str) -> World:
    """r1 serves, r2 is in `stage`."""
    return _remembered(
        f"second {stage}", lambda: healthy().change_model("training.seed", 7).run_to(stage, 2)
    )


def promoting() -> World:
    """r2 is about to get the entry point: recorded, and killed before the deed."""
    world = second("Warming").ready_all()
    with pytest.raises(Killed):
        world.step(kill_after=1)
    assert world.stage(2) == "Promoting" and world.entry() == "glyphs-r1"
    world.restart()
    return world


def promoted(gate: Any = ERRORS, **rollout: Any) -> World:
    """r2 was just promoted, r1 is kept, and the gate judges all requests."""
    found = {
        "gates": [GATE, gate],
        "afterPromotion": {"gates": [gate["name"]]},
        **rollout,
    }
    return healthy(rollout=found).change_model("training.seed", 7).run()


def measured(world: World, failed: int = 0, times: int = 2, seconds: int = 11) -> World:
    """So many measurements come, so many seconds apart."""
    for _ in range(times):
        world.measure(failed)
        world.settle().pass_time(seconds).settle()
    return world


def canary(
    steps: Any = STEPS,
    replicas: int = 3,
    at: int | None = 0,
    stage: str = "Canary",
    **rollout: Any,
) -> World:
    """r1 serves, r2 is in `stage`, and at the step `at` where one is given."""

    def make() -> World:
        spec = model_spec(serving={"replicas": replicas})
        spec["rollout"] |= {"steps": copy.deepcopy(list(steps)), **rollout}
        world = World().apply_model(**spec).apply_index().run()
        return world.change_model("training.seed", 7).run_to(stage, 2)

    world = _remembered(f"canary {steps} {replicas} {stage} {rollout}", make)
    for _ in range(40):
        world.settle()
        if at is None or world.record(2)["step"]["index"] >= at:
            return world
        world.ready_all().settle()
        if world.record(2)["step"]["index"] < at and world.look_again_after is not None:
            world.pass_time(world.look_again_after + 1)
    raise AssertionError(f"r2 does not reach step {at}: {world.record(2)}")


def two() -> World:
    """r2 serves, r1 is kept."""
    return _remembered("two", lambda: healthy().change_model("training.seed", 7).run())


_memory: dict[str, World] = {}


def _remembered(name: str, make: Callable[[], World]) -> World:
    """Many tests begin in the same world. Objects are never changed, so a shallow copy will do."""
    if name not in _memory:
        _memory[name] = make()
    world = copy.copy(_memory[name])
    world.objects, world.heard = dict(world.objects), dict(world.heard)
    world.events, world.writes = list(world.events), list(world.writes)
    world.routed, world.measurements = dict(world.routed), dict(world.measurements)
    world.said = dict(world.said)
    world.rotten = set(world.rotten)
    return world
