"""What no schema can see is told on the first visit, and nothing that serves stops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World
from tests.unit.decide.worlds.specs import GATE, model_spec

pytestmark = pytest.mark.unit

LIVE = {"name": "live", "type": "LiveRecall", "min": "0.9", "minSamples": 100}
STEPS = [{"setWeight": 25}, {"analysis": {"gates": ["live"]}}]


def rollout(**gate: Any) -> dict[str, Any]:
    return {"gates": [GATE, LIVE | gate], "steps": STEPS}


def applied(*indexes: str, indexing: str = "Required", **gate: Any) -> World:
    world = World().apply_model(**model_spec(indexing=indexing, rollout=rollout(**gate)))
    for name in indexes:
        world.apply_index(name)
    return world.settle()


@pytest.mark.parametrize(
    ("indexes", "gate", "words"),
    [
        (["glyphs"], {"index": "lost"}, ["`index` of gate live", "is lost", "name one of glyphs"]),
        (["glyphs", "more"], {}, ["`index` of gate live", "must be set", "glyphs, more"]),
    ],
)
def test_a_gate_that_searches_no_index_is_refused_before_anything_is_made(
    indexes: list[str], gate: dict[str, Any], words: list[str]
) -> None:
    world = applied(*indexes, **gate)
    assert world.says("Ready") == ("False", "InvalidSpec")
    assert all(word in world.status["message"] for word in words), world.status["message"]
    assert not any(kind == "EmbeddingRelease" for kind, _ in world.objects)


def test_an_index_that_comes_later_than_the_model_heals_it() -> None:
    world = applied("glyphs", index="more")
    assert world.says("Stalled") in (None, ("False", "InvalidSpec")), "it may still come"
    assert world.apply_index("more").run().entry() == "glyphs-r1"


def test_a_gate_that_searches_needs_indexes_at_all() -> None:
    world = applied(indexing="None")
    assert "set `spec.indexing: Required`" in world.status["message"]


def test_a_gate_of_the_time_after_the_promotion_is_refused_likewise() -> None:
    world = worlds.healthy()
    world.change_model("rollout.gates", [GATE, LIVE | {"index": "lost"}])
    assert world.settle().says("Ready") == ("True", "Healthy"), "a gate that nothing names"
    world.change_model("rollout.afterPromotion", {"gates": ["live"]}).settle()
    assert world.says("Ready") == ("False", "InvalidSpec")
    assert world.says("Serving") == ("True", "Serving") and world.entry() == "glyphs-r1"
    world.change_model("rollout.afterPromotion", None).settle()
    assert world.says("Ready") == ("True", "Healthy")


def test_an_annotation_that_is_no_verb_is_told_once_and_forgotten_with_it() -> None:
    world = worlds.healthy().annotate("explode", "r1").settle()
    told = world.handled("explode")
    assert told == "refused: there is no verb explode, only promote, abort, rollback, retry, pause"
    assert world.reasons().count("VerbRefused") == 1
    assert world.settle().reasons().count("VerbRefused") == 1
    world.annotate("explode", None).settle()
    assert "lastHandled" not in world.status


def test_a_mistyped_verb_is_told_with_the_one_that_is_near() -> None:
    world = worlds.healthy().annotate("promot", "r1").annotate("x" * 50, "y" * 500).settle()
    assert world.handled("promot").endswith("did you mean lockstep.dev/promote?")
    assert world.handled("x" * 32).startswith("refused")


def test_a_status_takes_so_many_of_them() -> None:
    world = worlds.healthy()
    for number in range(40):
        world.annotate(f"no-verb-{number:02}", "r1")
    assert len(world.settle().status["lastHandled"]) == 8
    world.annotate("abort", "r1").settle()
    assert world.handled("abort").startswith("refused: r1 serves")
