"""The toy child is watched, made for a release, made again, and removed with it."""

from __future__ import annotations

import kopf

from lockstep_operator import handlers
from lockstep_operator.api.kinds import BUDGET, REMOVED, WATCHED
from tests.unit.api import test_kinds
from tests.unit.decide.worlds import World


def of(number: int) -> tuple[str, str]:
    return BUDGET.kind, f"glyphs-r{number}-encoder"


def test_it_is_watched_and_observed() -> None:
    assert BUDGET in WATCHED and BUDGET in REMOVED and handlers.WATCHED is WATCHED
    registered = kopf.get_default_registry()._watching.get_all_handlers()
    assert "on_PodDisruptionBudget" in {handler.id for handler in registered}
    world = World().apply_model(serving={"replicas": 2}).apply_index().run()
    assert [raw["metadata"]["name"] for raw in world.observed().of(BUDGET.kind)] == [of(1)[1]]


def test_a_release_without_it_still_answers_and_gets_it_back() -> None:
    world = World().apply_model(serving={"replicas": 2}).apply_index().run()
    made = world.objects[of(1)]
    assert made["spec"]["selector"]["matchLabels"]["lockstep.dev/release"] == "glyphs-r1"
    world.remove(*of(1))
    world.step()
    assert world.says("Serving") == ("True", "Serving")
    assert world.status["message"].startswith("r1 serves all requests. PodDisruptionBudget")
    assert of(1) in world.objects


def test_it_goes_when_it_is_wanted_no_more_and_with_its_release() -> None:
    world = World().apply_model(serving={"replicas": 2}).apply_index().run()
    world.change_model("serving.replicas", 1).run()
    assert of(1) not in world.objects
    world.change_model("serving.replicas", 2).run()
    assert of(1) in world.objects
    world.change_model("training.seed", 7).run()
    assert world.stage(1) == "Retained" and {of(1), of(2)} <= world.objects.keys()
    world.pass_time(10_000_000)
    world.settle()
    assert world.stage(1) == "Retired"
    assert of(1) not in world.objects and of(2) in world.objects


def test_the_chart_grants_what_its_row_asks_for() -> None:
    scopes = test_kinds.Scope
    cluster = (scopes.WATCHED, scopes.CLUSTER)
    test_kinds.test_the_chart_grants_what_the_rows_ask_for(("ClusterRole", "x"), cluster)
    test_kinds.test_the_chart_grants_what_the_rows_ask_for(("Role", "x"), (scopes.WATCHED,))
    test_kinds.test_what_the_operator_makes_or_removes_it_knows(BUDGET)
