"""Reasons, numbers and times of a status are those of the release that they stand beside."""

from __future__ import annotations

import pytest

from lockstep_operator.api.gates import Gate
from lockstep_operator.api.objects import Object
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates import inherited, of_then
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


def ready_of(world: World, number: int) -> tuple[str, str]:
    found = next(c for c in world.record(number)["conditions"] if c["type"] == "Ready")
    return found["status"], found["reason"]


def history(world: World) -> dict[str, Object]:
    return {entry["release"].removeprefix("glyphs-"): entry for entry in world.status["history"]}


def columns(world: World) -> tuple[str | None, str | None]:
    return world.status.get("recall"), world.status.get("gatesSummary")


def test_a_person_rolled_it_back() -> None:
    world = worlds.two().annotate("rollback", "r1").run()
    assert world.says("Ready") == ("False", "RolledBack")
    assert ready_of(world, 2) == ("True", "RolledBack")
    assert world.record(2)["message"] == "r2 was rolled back, and is kept to go forward again"
    assert history(world)["r2"]["reason"] == "RolledBack"
    assert history(world)["r1"]["reason"] == "First"


def test_its_gates_rolled_it_back() -> None:
    world = worlds.measured(worlds.promoted(), failed=300).run()
    assert world.says("Ready") == ("False", "RolledBack")
    assert ready_of(world, 2) == ("True", "RolledBack")
    assert "was rolled back as its gates failed after its promotion" in world.record(2)["message"]
    # Of the outcome RolledBack the history tells why.
    assert history(world)["r2"]["reason"] == "GateFailed"


def test_the_spec_went_back() -> None:
    world = worlds.two().change_model("training.seed", 0).run()
    assert ready_of(world, 2) == ("True", "Retained")
    assert history(world)["r2"]["reason"] == "Reverted"


def test_the_columns_are_of_the_candidate_while_it_is_judged_else_of_what_serves() -> None:
    world = worlds.healthy()
    world.recall = 0.97
    world.change_model("training.seed", 7).run_to("Training", 2)
    assert columns(world) == ("0.990", "1/1")  # r2 was not judged yet
    world.end_jobs().run_to("Indexing", 2)
    assert columns(world) == ("0.970", "1/1")
    world.run()
    assert columns(world) == ("0.970", "1/1")
    world.annotate("rollback", "r1").run()
    assert columns(world) == ("0.990", "1/1")
    world.recall = 0.884
    world.change_model("training.seed", 8).run()
    assert columns(world) == ("0.990", "1/1") and world.stage(3) == "Failed"
    assert world.status["gates"] == world.record(1)["gates"]


def test_a_release_that_returns_is_not_judged_anew() -> None:
    world = worlds.healthy()
    world.recall = 0.97
    world.change_model("training.seed", 7).run().annotate("rollback", "r1").step()
    assert world.stage(1) == "Promoting" and world.status["candidate"]["release"] == "glyphs-r1"
    assert columns(world) == ("0.970", "1/1")  # of r2, which still serves


def test_history_keeps_what_a_release_took() -> None:
    world = worlds.healthy().change_model("training.seed", 7).run_to("Indexing", 2)
    first = world.record(1)["promotedAt"]
    world.pass_time(100).run()
    promoted = history(world)["r2"]["finishedAt"]
    assert "replacedAt" not in history(world)["r2"]
    assert history(world)["r1"]["finishedAt"] == first
    assert history(world)["r1"]["replacedAt"] == world.record(1)["finishedAt"]
    world.pass_time(1000).annotate("rollback", "r1").run()
    back = history(world)["r2"]
    assert back["finishedAt"] == promoted < back["replacedAt"]
    assert history(world)["r1"]["finishedAt"] == first < world.record(1)["promotedAt"]
    assert "replacedAt" not in history(world)["r1"]


def test_a_record_of_before_shows_the_last_promotion() -> None:
    world = worlds.two()

    def older(raw: Object) -> None:
        raw["status"] = {k: v for k, v in raw["status"].items() if k != "firstPromotedAt"}

    world.edit("EmbeddingRelease", "glyphs-r1", older)
    world.settle()
    entry, record = history(world)["r1"], world.record(1)
    assert (entry["finishedAt"], entry["replacedAt"]) == (
        record["promotedAt"],
        record["finishedAt"],
    )


def test_a_failed_release_ended_and_replaced_nothing() -> None:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=3)
    entry = history(world.settle())["r2"]
    assert entry["finishedAt"] == world.record(2)["finishedAt"] and "replacedAt" not in entry


LINE = "recall@1 0.990 >= 0.950 OK (95% lower 0.987); vs stable 0.923 -0.2pt, 90% CI [-0.7, +0.3], "
LINE += "allowed -1.0 OK; n=4623"
SHORT = "recall@1 0.990 >= 0.950 OK (95% lower 0.987); n=4623"


def with_line(world: World, number: int, line: str) -> World:
    def change(raw: Object) -> None:
        gates = [{**raw["status"]["gates"][0], "line": line}]
        raw["status"] = {**raw["status"], "gates": gates}

    world.edit("EmbeddingRelease", f"glyphs-r{number}", change)
    return world.settle()


def test_a_comparison_is_told_as_that_of_its_time() -> None:
    world = with_line(worlds.two(), 2, LINE)
    (gate,) = world.status["gates"]
    assert "vs the stable release of then 0.923" in gate["line"]
    assert "vs stable" not in str(world.status)
    named = LINE.replace("vs stable", "vs r1")
    assert with_line(world, 2, named).status["gates"][0]["line"] == named


@pytest.mark.parametrize("who", ["vs stable", "vs r1"])
def test_a_release_that_takes_over_a_model_takes_over_no_comparison(who: str) -> None:
    world = with_line(worlds.two(), 2, LINE.replace("vs stable", who))
    world.change_index("index", {"type": "Flat"}).settle()
    assert world.record(3)["gates"][0]["line"] == SHORT


def test_what_its_own_pods_did_is_not_taken_over() -> None:
    live = GateVerdict(name="errors", verdict="Pass", line="5xx 0%")
    nothing = GateVerdict(
        name="relevance", verdict="Pass", line="there was no stable release to compare with; n=9"
    )
    gates = [Gate.model_validate(gate) for gate in (worlds.GATE, worlds.ERRORS)]
    (kept,) = inherited([live, nothing], gates)
    assert kept.line == "n=9"
    assert of_then([live]) == [live]


def test_the_comparison_names_the_release_that_was_measured() -> None:
    found = worlds.GATE | {"maxRegression": "0.05"}
    world = worlds.healthy(rollout={"gates": [found]})
    facts = world.evaluated

    def evaluated(config: Object) -> Object:
        measured = facts(config)
        for recall in measured["evaluation"]["recall"]:
            same = {"n": 4623, "mean": 0.0, "standardDeviation": 0.1}
            recall |= {"stable": recall["candidate"], "gainOverStable": same}
        return measured

    world.evaluated = evaluated  # type: ignore[method-assign]
    world.change_model("training.seed", 7).run()
    assert world.record(2)["comparedWith"] == "glyphs-r1"
    assert "vs r1 0.990 +0.0pt" in world.record(2)["gates"][0]["line"]
