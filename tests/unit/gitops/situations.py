"""Situations of a model, as the operator's own rules project them. Nothing here is a test.

Each is a world of `decide`, brought there by what users, Jobs and pods do; the statuses that tools
judge are those that the operator wrote, so they cannot drift from it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from lockstep_operator.decide.snapshot.observed import Refusal
from tests.unit.decide import worlds

OWN = worlds.OWN
STEPS = {"gates": [worlds.GATE], "steps": [{"setWeight": 50}, {"pause": {}}]}


def no_index() -> worlds.World:
    return worlds.World().apply_model().settle()


def first_training() -> worlds.World:
    return worlds.World().apply_model().apply_index().settle()


def queued() -> worlds.World:
    world = worlds.second("Training")
    world.edit("Job", "glyphs-r2-train-1", lambda raw: raw["spec"].update(suspend=True))
    return world.settle()


def paused_by_name() -> worlds.World:
    return worlds.second("Warming").annotate("pause", "r2").settle().ready_all().settle()


def at_a_step() -> worlds.World:
    """r2 has half of the requests and waits for a person."""
    world = worlds.healthy(rollout=STEPS, serving={"replicas": 2})
    return world.change_model("training.seed", 7).run()


def undecided() -> worlds.World:
    world = worlds.healthy()
    world.samples = 200
    return world.change_model("training.seed", 7).run()


def gate_failed() -> worlds.World:
    world = worlds.healthy()
    world.recall = 0.884
    return world.change_model("training.seed", 7).run()


def aborted() -> worlds.World:
    return worlds.second("Training").annotate("abort", "r2").run()


def gives_traffic_back() -> worlds.World:
    """The canary was aborted, and stable's pods come back before its traffic does."""
    return at_a_step().annotate("abort", "r2").settle()


def rolled_back() -> worlds.World:
    return worlds.two().annotate("rollback", "r1").run()


ERRORS = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.05", "minSamples": 100}


def watched(**gate: Any) -> worlds.World:
    """r2 was just promoted, and is judged on all requests."""
    found = {"gates": [worlds.GATE, ERRORS | gate], "afterPromotion": {"gates": ["errors"]}}
    return worlds.healthy(rollout=found).change_model("training.seed", 7).run()


def judged(world: worlds.World, failed: int = 0) -> worlds.World:
    for _ in range(2):
        world.measure(failed)
        world.settle().pass_time(11).settle()
    return world.run()


def watched_undecided() -> worlds.World:
    return judged(watched(minSamples=100_000, inconclusiveLimit=0))


def went_back() -> worlds.World:
    return judged(watched(), failed=300)


def window_over() -> worlds.World:
    return worlds.two().pass_time(90_000).run()


def unready() -> worlds.World:
    world = worlds.two()
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    return world.settle()


def rolling_in_place() -> worlds.World:
    return worlds.healthy(serving={"replicas": 2}).change_model("serving.replicas", 3).settle()


def refused() -> worlds.World:
    world = worlds.second("Warming").ready_all()
    refusal = Refusal("Service", "glyphs", "exceeded quota: services.", "Forbidden")
    world.refusals = (refusal,)
    world.step()
    return world


def invalid_spec() -> worlds.World:
    return worlds.healthy().change_model("serving.replicas", "many").settle()


def invalid_index() -> worlds.World:
    return worlds.healthy().change_index("objectives", {"recall": {"min": "lots"}}).settle()


def deleted() -> worlds.World:
    world = worlds.healthy()
    mark = {"deletionTimestamp": "2026-01-31T13:00:00Z"}
    world.edit("EmbeddingModel", "glyphs", lambda raw: raw["metadata"].update(mark))
    world.step()
    return world


def just_changed() -> worlds.World:
    """The spec is newer than what the operator has seen."""
    return worlds.healthy().change_model("training.seed", 7)


def just_applied() -> worlds.World:
    return worlds.World().apply_model().apply_index()


# Situation -> what the model's phase is, and how Argo CD and kstatus must judge it.
SITUATIONS: dict[str, tuple[Callable[[], worlds.World], str | None, str, str]] = {
    "just applied": (just_applied, None, "Progressing", "InProgress"),
    "no index": (no_index, "Pending", "Progressing", "InProgress"),
    "the first release trains": (first_training, "Progressing", "Progressing", "InProgress"),
    "healthy": (worlds.healthy, "Healthy", "Healthy", "Current"),
    "just changed": (just_changed, "Healthy", "Progressing", "InProgress"),
    "queued": (queued, "Progressing", "Progressing", "InProgress"),
    "paused by name": (paused_by_name, "Paused", "Progressing", "InProgress"),
    "at a step": (at_a_step, "Paused", "Progressing", "InProgress"),
    "undecided": (undecided, "Paused", "Progressing", "InProgress"),
    "gate failed": (gate_failed, "Degraded", "Degraded", "Failed"),
    "aborted": (aborted, "Degraded", "Degraded", "Failed"),
    "gives traffic back": (gives_traffic_back, "Progressing", "Progressing", "InProgress"),
    "two": (worlds.two, "Healthy", "Healthy", "Current"),
    "watched": (watched, "Progressing", "Progressing", "InProgress"),
    "watched, undecided": (watched_undecided, "Healthy", "Healthy", "Current"),
    "went back": (went_back, "Degraded", "Degraded", "Failed"),
    "rolled back": (rolled_back, "Degraded", "Degraded", "Failed"),
    "window over": (window_over, "Healthy", "Healthy", "Current"),
    # Pods come back by themselves or not: nothing is known to have failed for good.
    "unready": (unready, "Degraded", "Progressing", "InProgress"),
    "rolling in place": (rolling_in_place, "Progressing", "Progressing", "InProgress"),
    "refused": (refused, "Progressing", "Progressing", "InProgress"),
    "invalid spec": (invalid_spec, "Degraded", "Degraded", "Failed"),
    "invalid index": (invalid_index, "Degraded", "Degraded", "Failed"),
    "deleted": (deleted, "Terminating", "Progressing", "Terminating"),
}

_worlds: dict[str, worlds.World] = {}


def world_of(name: str) -> worlds.World:
    """The world of a situation, made once. Its objects must not be changed."""
    if name not in _worlds:
        _worlds[name] = SITUATIONS[name][0]()
    return _worlds[name]


def model_in(name: str) -> dict[str, Any]:
    """The EmbeddingModel of a situation: a copy."""
    return copy.deepcopy(world_of(name).objects["EmbeddingModel", worlds.MODEL])


def objects_in(name: str) -> list[dict[str, Any]]:
    """Every object of our kinds in a situation: copies."""
    found = world_of(name).objects
    return [copy.deepcopy(raw) for (kind, _), raw in sorted(found.items()) if kind in OWN]
