"""Killed before any one of its writes, the operator ends where an undisturbed one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


def first_release() -> tuple[World, Callable[[World], object]]:
    return worlds.World().apply_model().apply_index(), lambda world: world.run()


def second_release() -> tuple[World, Callable[[World], object]]:
    world = worlds.healthy().change_model("training.seed", 7)
    return world, lambda world: world.run()


def rollback() -> tuple[World, Callable[[World], object]]:
    return worlds.two().annotate("rollback", "r1"), lambda world: world.run()


def late_abort() -> tuple[World, Callable[[World], object]]:
    return worlds.two().annotate("abort", "r2"), lambda world: world.run()


def rollback_past_a_candidate() -> tuple[World, Callable[[World], object]]:
    world = worlds.two().change_model("training.seed", 8).run_to("Indexing", 3)
    return world.annotate("rollback", "r1"), lambda world: world.run()


def abort() -> tuple[World, Callable[[World], object]]:
    return worlds.second("Warming").annotate("abort", "r2"), lambda world: world.run()


def third_spec() -> tuple[World, Callable[[World], object]]:
    world = worlds.second("Indexing").change_model("training.seed", 8)
    return world, lambda world: world.run()


def revert() -> tuple[World, Callable[[World], object]]:
    return worlds.two().change_model("training.seed", 0), lambda world: world.run()


def retry() -> tuple[World, Callable[[World], object]]:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=2)
    return world.settle().annotate("retry", "r2"), lambda world: world.run()


def failing_attempts() -> tuple[World, Callable[[World], object]]:
    def go(world: World) -> None:
        for attempt in (1, 2, 3):
            world.end_job(f"glyphs-r2-train-{attempt}", code=70)
            world.settle().pass_time(2000).settle()

    return worlds.second("Training"), go


def an_aborted_canary() -> tuple[World, Callable[[World], object]]:
    world = worlds.canary(at=1).annotate("abort", "r2")
    return world, lambda world: world.settle().pass_time(31).settle()


def a_canary_whose_stable_is_gone() -> tuple[World, Callable[[World], object]]:
    world = worlds.canary(at=1)
    world.remove("EmbeddingRelease", "glyphs-r1")
    return world, lambda world: world.settle().ready_all().settle()


def leaving_the_window() -> tuple[World, Callable[[World], object]]:
    return worlds.two().pass_time(86401), lambda world: world.settle()


SCENARIOS = [
    first_release,
    second_release,
    rollback,
    late_abort,
    rollback_past_a_candidate,
    abort,
    third_spec,
    revert,
    retry,
    failing_attempts,
    an_aborted_canary,
    a_canary_whose_stable_is_gone,
    leaving_the_window,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_kill_before_any_write_changes_nothing_in_the_end(scenario: Any) -> None:
    calm, go = scenario()
    before = len(calm.writes)
    go(calm)
    writes = len(calm.writes) - before
    assert writes > 3
    for number in range(writes):
        killed, go = scenario()
        killed.kill_at = len(killed.writes) + number
        go(killed)
        assert killed.kill_at is None
        assert comparable(killed) == comparable(calm), calm.writes[before + number]


def comparable(world: World) -> dict[Any, Any]:
    """The world without what only tells how often things were written."""
    return {key: _clean(raw) for key, raw in world.objects.items() if key[0] != "Pod"}


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        dropped = ("uid", "resourceVersion", "generation", "observedGeneration", "pod")
        # A verb that is read again after its deed was done finds it done, and says so.
        kept = {k: v for k, v in value.items() if k not in dropped and k != "lastHandled"}
        return {k: _clean(v) for k, v in kept.items() if not k.endswith("applied-hash")}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, str) and "uid-" in value:
        return "(config with uids)"
    return value
