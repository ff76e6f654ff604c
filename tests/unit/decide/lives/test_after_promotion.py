"""Edge 18b by gates: a release is judged on all requests after its promotion, and may go back."""

from __future__ import annotations

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

BUSINESS = {
    "name": "clicks",
    "type": "Prometheus",
    "prometheus": {"url": "http://prometheus:9090", "query": 'x{old="$(stable)"}'},
    "minValue": "0.5",
}
SAYS_WHICH = "errors: 5xx 30% > 5% FAIL"


def test_edge_18b_a_promoted_release_is_judged_on_all_requests_and_stays() -> None:
    world = worlds.promoted()
    assert world.entry() == "glyphs-r2" and world.record(2)["watch"].get("verdict") is None
    status = world.status
    assert (status["phase"], world.says("Serving")) == ("Progressing", ("True", "Serving"))
    assert world.says("Ready") == ("False", "Watched")
    assert "It is judged on them by errors, and r1 returns if it fails." in status["message"]
    assert "Settle for it: kubectl annotate em/glyphs" in status["message"]
    before = len(world.writes)
    world.pass_time(5).settle()
    assert len(world.writes) == before, "nothing is written while it is measured"
    worlds.measured(world)
    assert world.record(2)["watch"]["verdict"] == "Pass"
    assert world.status["phase"] == "Healthy" and world.entry() == "glyphs-r2"
    assert [g["name"] for g in world.status["gates"]] == ["relevance", "errors"]
    assert world.status["gatesSummary"] == "2/2"
    assert world.plan.measure == ()


def test_edge_18b_a_gate_that_fails_takes_the_entry_back_and_the_spec_does_not_fight_it() -> None:
    world = worlds.measured(worlds.promoted(), failed=300).run()
    assert world.entry() == "glyphs-r1" and world.stage(2) == "Retained"
    assert world.record(2)["outcome"] == "RolledBack"
    assert world.record(2)["lastFailure"]["stage"] == "Serving"
    status = world.status
    assert status["phase"] == "Degraded" and world.says("Serving") == ("True", "Serving")
    assert world.says("Stalled") == ("True", "RolledBack")
    assert world.says("GatesPassed") == ("False", "GateFailed")
    message = status["message"]
    assert message.startswith("r2, which the spec asks for, was rolled back. r2 failed after its")
    assert SAYS_WHICH in message and "r1 serves all requests." in message
    assert "Change `spec.training`" in message and "Go forward again: kubectl" in message
    newest = status["history"][0]
    assert (newest["release"], newest["outcome"], newest["reason"]) == (
        "glyphs-r2",
        "RolledBack",
        "GateFailed",
    )
    for _ in range(3):
        world.pass_time(1000).run()
    assert world.entry() == "glyphs-r1" and not world.has_release(3)
    assert "RolledBack" in world.reasons() and "GateFailed" in world.reasons()


def test_edge_18b_a_person_may_go_forward_again_and_it_is_not_judged_twice() -> None:
    world = worlds.measured(worlds.promoted(), failed=300).run()
    world.annotate("rollback", "r2").run()
    assert world.entry() == "glyphs-r2" and "watch" not in world.record(2)
    worlds.measured(world, failed=300).run()
    assert world.entry() == "glyphs-r2" and world.status["phase"] == "Healthy"


def test_edge_18b_another_spec_is_released_after_it_went_back() -> None:
    world = worlds.measured(worlds.promoted(), failed=300).run()
    world.change_model("training.seed", 8).run()
    assert world.entry() == "glyphs-r3" and world.stage(1) == "Retained"
    worlds.measured(world)
    assert world.status["phase"] == "Healthy"


def test_the_first_release_has_nothing_to_go_back_to_and_is_not_judged() -> None:
    found = {"gates": [worlds.GATE, worlds.ERRORS], "afterPromotion": {"gates": ["errors"]}}
    world = worlds.healthy(rollout=found)
    assert "watch" not in world.record(1) and world.status["phase"] == "Healthy"


def test_data_that_do_not_decide_change_nothing_and_are_told() -> None:
    world = worlds.promoted(worlds.ERRORS | {"minSamples": 100_000, "inconclusiveLimit": 0})
    worlds.measured(world)
    assert world.entry() == "glyphs-r2"
    assert (world.status["phase"], world.says("Ready")) == ("Healthy", ("True", "GateInconclusive"))
    message = world.status["message"]
    assert "Its gates after the promotion do not decide: errors: " in message
    assert "Measure again: kubectl annotate em/glyphs" in message
    world.annotate("retry", "r2").settle()
    assert world.handled("retry") == "accepted: r2 is judged anew"
    assert world.says("Ready") == ("False", "Watched") and world.plan.measure


def test_inconclusive_may_be_asked_to_fail() -> None:
    gate = worlds.ERRORS | {"minSamples": 100_000, "inconclusiveLimit": 0, "onInconclusive": "Fail"}
    assert worlds.measured(worlds.promoted(gate)).run().entry() == "glyphs-r1"


def test_a_dry_run_takes_nothing_back() -> None:
    world = worlds.measured(worlds.promoted(worlds.ERRORS | {"dryRun": True}), failed=300).run()
    assert world.entry() == "glyphs-r2" and world.record(2)["watch"]["verdict"] == "Pass"


def test_a_person_settles_for_it() -> None:
    world = worlds.promoted().annotate("promote", "r2").settle()
    assert world.handled("promote") == "accepted: r2 is judged no more"
    worlds.measured(world, failed=300).run()
    assert world.entry() == "glyphs-r2" and world.status["phase"] == "Healthy"
    assert world.plan.measure == ()


def test_gates_that_nobody_asks_for_any_more_are_not_measured() -> None:
    world = worlds.promoted().change_model("rollout.afterPromotion", None).settle()
    assert "watch" not in world.record(2) and world.status["phase"] == "Healthy"


def test_what_failed_stays_until_what_it_replaced_is_whole() -> None:
    world = worlds.promoted()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    worlds.measured(world, failed=300)
    assert world.entry() == "glyphs-r2" and world.status["phase"] == "Degraded"
    assert "It stays: r1 is not whole to go back to." in world.status["message"]
    assert "r2 serves all requests." in world.status["message"]
    assert world.run().entry() == "glyphs-r1"


def test_what_failed_stays_where_nothing_is_kept() -> None:
    world = worlds.promoted(rollbackWindow={"releases": 1, "seconds": 40})
    world.pass_time(41).settle()
    assert world.stage(1) == "Retired"
    worlds.measured(world, failed=300).run()
    assert world.entry() == "glyphs-r2" and world.says("Stalled") == ("True", "GateFailed")
    assert "no release is kept whole to go back to" in world.status["message"]
    world.annotate("promote", "r2").settle()
    assert world.status["phase"] == "Healthy"


@pytest.mark.parametrize("stage", ["Training", "Indexing", "Warming", "Canary"])
def test_what_is_on_its_way_gives_way_and_comes_again(stage: str) -> None:
    world = worlds.promoted()
    world.change_model("rollout.steps", [{"setWeight": 50}, {"pause": {}}])
    world.change_model("training.seed", 8).run_to(stage, 3)
    worlds.measured(world, failed=300)
    for _ in range(4):
        world.ready_all().pass_time(31).settle()
    assert world.entry() == "glyphs-r1" and world.stage(3) == "Superseded"
    assert "gave way to r1: r2, which served, failed" in world.record(3)["message"]
    world.run()
    assert world.has_release(4), "the spec still asks for it"


def test_a_verdict_stands_through_a_kill_between_its_record_and_the_switch() -> None:
    for kill_after in range(4):
        world = worlds.promoted()
        world.measure()
        world.settle().pass_time(11).settle()
        world.measure(300)
        try:
            world.step(kill_after=kill_after)
        except worlds.Killed:
            world.restart()
            world.measurements.clear()
        world.run()
        for _ in range(3):
            worlds.measured(world, failed=300).run()
        assert world.entry() == "glyphs-r1", kill_after


def test_the_query_of_a_business_figure_names_what_was_replaced() -> None:
    world = worlds.promoted(BUSINESS)
    (request,) = world.plan.measure
    assert request.what.promql == 'x{old="glyphs-r1"}'


# -- the way back


def beside_a_canary() -> World:
    """r2 is judged after its promotion while r3 has half of the requests."""
    world = worlds.promoted(steps=[])
    world.change_model("rollout.steps", [{"setWeight": 50}, {"pause": {}}])
    world.change_model("training.seed", 8).run_to("Canary", 3)
    for _ in range(3):
        world.ready_all().settle()
    return world


def only(world: World, bad: str, times: int = 20) -> World:
    """Jobs end and all pods become ready but those of `bad`."""
    for _ in range(times):
        world.settle()
        world.end_jobs()
        for kind, name in world.workloads():
            if name != bad:
                world.ready(kind, name)
    return world.settle()


def test_the_way_back_leads_to_no_release_that_failed_itself() -> None:
    world = worlds.promoted(rollbackWindow={"releases": 2, "seconds": 86400})
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    worlds.measured(world, failed=300)
    world.change_model("training.seed", 8)
    only(world, "glyphs-r1-encoder")
    assert world.entry() == "glyphs-r3" and world.stage(2) == "Retained"
    world.ready_all().settle().pass_time(40).settle()
    assert "and r1 returns if it fails" in world.status["message"]
    assert worlds.measured(world, failed=300).run().entry() == "glyphs-r1"


def test_a_window_with_one_place_keeps_the_release_that_did_not_fail() -> None:
    world = worlds.promoted()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    worlds.measured(world, failed=300)
    world.change_model("training.seed", 8)
    only(world, "glyphs-r1-encoder").pass_time(31).settle()
    assert (world.stage(1), world.stage(2)) == ("Retained", "Retired")


def test_a_way_back_that_leads_nowhere_is_tried_once_and_the_next_spec_is_released() -> None:
    world = worlds.promoted(capacity="ResourceAware")
    world.ready_all().settle()
    worlds.measured(world, failed=300)
    for _ in range(3):
        only(world, "glyphs-r1-encoder", 3)
        world.pass_time(1000).settle()
    assert (world.entry(), world.stage(1)) == ("glyphs-r2", "Retained")
    assert world.reasons().count("RolledBack") == 1
    message = world.status["message"]
    assert "It stays: the way back ended, and is not begun again by itself." in message
    assert "r2 failed after its promotion" in message and "Settle for it: kubectl" in message
    world.change_model("training.seed", 8)
    only(world, "glyphs-r1-encoder", 30)
    assert world.entry() == "glyphs-r3"


def test_a_release_that_failed_and_cannot_answer_keeps_nobody_from_going_back() -> None:
    """Its candidate can give its traffic to nobody but the release that returns."""
    world = beside_a_canary()
    world.measure(300)
    world.settle().pass_time(11).settle()
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    world.measure(300)
    world.settle().pass_time(31).settle()
    assert world.entry() == "glyphs-r1"
    for _ in range(3):
        world.pass_time(1000).settle()
    assert world.stage(3) in ("Superseded", "Failed") and world.stage(2) == "Retained"


@pytest.mark.parametrize(
    ("verb", "release", "verdict"),
    [
        ("promote", "r2", None),
        ("retry", "r2", ""),
        ("abort", "r1", "Fail"),
        ("rollback", "r2", "Fail"),
    ],
)
def test_a_person_ends_the_way_back(verb: str, release: str, verdict: str | None) -> None:
    world = worlds.measured(worlds.promoted(capacity="ResourceAware"), failed=300)
    assert (world.stage(1), world.stage(2)) == ("Promoting", "Serving")
    world.annotate(verb, release).settle()
    assert world.handled(verb).startswith("accepted")
    world.run()
    assert (world.entry(), world.stage(1)) == ("glyphs-r2", "Retained")
    watch = world.record(2).get("watch")
    assert (watch and watch.get("verdict", "")) == verdict


def test_gates_that_are_taken_away_do_not_hide_why_it_goes_back() -> None:
    world = worlds.measured(worlds.promoted(capacity="ResourceAware"), failed=300)
    world.change_model("rollout.afterPromotion", None).run()
    assert world.entry() == "glyphs-r1" and "failed after its promotion" in world.status["message"]


def test_a_failure_is_not_undone_by_a_spec_that_goes_there_and_back() -> None:
    world = worlds.promoted()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    worlds.measured(world, failed=300)
    world.change_model("training.seed", 0).settle().run()
    assert world.entry() == "glyphs-r1" and world.record(2)["outcome"] == "RolledBack"
    world.change_model("training.seed", 7).run()
    assert world.entry() == "glyphs-r1" and world.says("Stalled") == ("True", "RolledBack")


def test_a_release_that_returns_before_its_verdict_is_judged_again() -> None:
    world = worlds.promoted().change_model("training.seed", 0).run()
    assert world.entry() == "glyphs-r1"
    world.change_model("training.seed", 7).run()
    assert world.entry() == "glyphs-r2" and world.says("Ready") == ("False", "Watched")


def test_no_release_is_made_that_would_only_give_way() -> None:
    world = beside_a_canary()
    worlds.measured(world, failed=300)
    for _ in range(4):
        world.ready_all().pass_time(31).settle()
    assert world.entry() == "glyphs-r1"
    assert world.stage(4) == "Indexing", "the model of r3 passed its gates"
    assert not world.has_release(5)


def test_its_replays_end_with_the_verdict() -> None:
    live = {"name": "live", "type": "LiveRecall", "k": 1, "min": "0.9", "minSamples": 300}
    found = {
        "gates": [worlds.GATE, worlds.ERRORS, live],
        "afterPromotion": {"gates": ["errors", "live"]},
    }
    world = worlds.healthy(rollout=found).change_model("training.seed", 7).run_to("Serving", 2)
    world.settle()
    assert "glyphs-r2-replay-live-1" in world.jobs()
    worlds.measured(world, failed=300)
    world.ready_all().settle()
    assert world.entry() == "glyphs-r1" and "glyphs-r2-replay-live-1" not in world.jobs()


def test_a_failure_is_told_while_another_change_waits() -> None:
    world = worlds.promoted()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    worlds.measured(world, failed=300)
    world.change_model("rollout.paused", True).change_model("training.seed", 8).settle()
    assert world.status["phase"] == "Degraded"
    assert "r2 failed after its promotion: errors: 5xx 30%" in world.status["message"]


def test_a_candidate_does_not_hide_that_stable_is_judged() -> None:
    world = worlds.promoted().change_model("training.seed", 8).run_to("Training", 3)
    assert "r2 is still judged on its requests." in world.status["message"]
