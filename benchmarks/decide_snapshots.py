"""Snapshots to decide over, as plain JSON that any version can read: see `benchmarks.decide`.

They come from the tests' tiny cluster, so that every object in them is one that the operator's own
code wrote.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from lockstep_operator.decide.snapshot.measurements import Tally
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

GROUPS = ("settled", "candidates", "many releases")
STAGES = ("Training", "Evaluating", "Indexing", "Warming")
ERRORS = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.05", "minSamples": 100}


class Sizes(NamedTuple):
    """How many models are at rest, and how many releases the model with a long record has had."""

    models: int
    releases: int


def snapshots(sizes: Sizes) -> dict[str, list[dict[str, Any]]]:
    """The snapshots of each group of `GROUPS`."""
    groups = {
        "settled": [plain(worlds.healthy())] * sizes.models,
        "candidates": [plain(world) for world in candidates()],
        "many releases": [plain(many_releases(sizes.releases))],
    }
    assert tuple(groups) == GROUPS
    return groups


def candidates() -> list[World]:
    """A model in each of several moments of a release."""
    return [
        *(worlds.second(stage) for stage in STAGES),
        *(worlds.canary(at=step) for step in range(4)),
        worlds.canary(at=3).annotate("abort", "r2").settle(),
        worlds.canary(steps=[{"setWeight": 25}], stage="Promoting", at=None),
        worlds.two(),
        watched(),
    ]


def watched() -> World:
    """r2 was just promoted, and its first measurement is there."""
    rollout = {"gates": [worlds.GATE, ERRORS], "afterPromotion": {"gates": ["errors"]}}
    world = worlds.healthy(rollout=rollout).change_model("training.seed", 7).run()
    world.measure()
    return world.settle()


def many_releases(count: int) -> World:
    """One model that has had so many releases, all of which are still on record."""
    window = {"releases": 5, "seconds": 86_400}
    rollout = {"gates": [worlds.GATE], "rollbackWindow": window}
    world = worlds.healthy(revisionHistoryLimit=50, rollout=rollout)
    for seed in range(1, count):
        world.change_model("training.seed", seed).run().pass_time(60).run()
    return world


def plain(world: World) -> dict[str, Any]:
    """The snapshot of a world: its objects by kind, and what was counted by metric and labels."""
    observed = world.observed()
    series = [
        {
            "key": dataclasses.asdict(key),
            "readings": [
                {"at": one.at.isoformat(), "counts": counts_of(one.reading)} for one in readings
            ],
        }
        for key, readings in observed.measurements.items()
    ]
    return {
        "now": world.now.isoformat(),
        "namespace": observed.namespace,
        "name": observed.name,
        "model": observed.model,
        "objects": observed.objects,
        "measurements": series,
    }


def counts_of(reading: Any) -> list[dict[str, Any]]:
    """A tally as JSON can say it: a mapping's keys are neither tuples nor numbers there."""
    assert isinstance(reading, Tally)
    return [
        {"metric": name, "events": [*count.events.items()], "within": [*count.within.items()]}
        for name, count in reading.counts.items()
    ]
