"""A drift policy is watched, judged and told; what it asks for is recorded and done once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lockstep_core.protocol.drift import BaselineKind, RoleReport, Seen
from lockstep_core.protocol.monitoring import TrafficRole
from lockstep_operator.decide.vocabulary import clock
from tests.unit.decide import worlds
from tests.unit.decide.policies import watched as w
from tests.unit.decide.worlds.specs import POLICY

pytestmark = pytest.mark.unit

RETRAIN = {"when": "Evidence", "do": "Retrain"}
REBUILD = {"when": "Evidence", "do": "Rebuild"}
NOBODY = {"approval": "None"}
LEARNING = RoleReport(TrafficRole.QUERY, samples=400, learned=5, needed=24)


def test_what_is_asked_to_be_watched() -> None:
    world = w.watched(
        tolerance="0.05",
        windows=[{"seconds": 300}, {"seconds": 3600}],
        roles=["Query", "Embedding"],
    )
    (watch,) = world.plan.watch
    assert (watch.policy, watch.uid) == (POLICY, w.uid(world))
    assert watch.space == world.record(1)["training"]["spaceID"]
    parameters = watch.parameters
    assert (parameters.release, parameters.spans) == ("glyphs-r1", (1, 12))
    assert parameters.tolerance == 0.05 and parameters.baseline is BaselineKind.TRAFFIC
    # 30 days have 8640 windows, and two roles share the one false alarm of them.
    assert parameters.budget_windows == 2 * 8640 and len(parameters.roles) == 2
    promoted = world.record(1)["promotedAt"]
    assert promoted and watch.first_window * 300 >= world.now.timestamp() - 300


def test_the_life_of_an_alert() -> None:
    world = w.watched()
    assert w.status(world)["state"] == "Learning"
    first = world.plan.watch[0].first_window
    ends = clock.text(datetime.fromtimestamp((first + 1) * w.SECONDS, UTC))
    nothing_yet = f"0 of 24 windows are learned; the first window of 5m ends at {ends}"
    assert w.status(world)["message"] == nothing_yet
    assert w.condition(world, "Ready") == ("True", "Learning")
    # The pods answer, and the window that ended began before the promotion.
    assert w.show(world)["message"] == nothing_yet
    assert w.show(world, LEARNING)["message"] == "query: 5 of 24 windows are learned"
    learned = w.show(world, w.role(measured=()))
    assert learned["state"] == "Learning"
    assert learned["message"].startswith(
        "query: the baseline is learned, and the next window is judged; evidence"
    )
    status = w.quiet(world)
    assert (status["state"], status["phase"]) == ("Quiet", "Healthy")
    assert status["message"] == (
        "query drift MMD 0.012 [0.000, 0.019] <= 0.030 OK; n=1000/5m; evidence 10^0.4 of 10^3.9"
        " (1 false alarm/30d); detects >= 0.014"
    )
    assert (status["value"], status["tolerance"]) == ("0.012", "0.030")
    assert w.condition(world, "NoDrift") == ("True", "Quiet")
    assert w.condition(world, "BaselineCalibrated") == ("True", "Quiet")
    world.events.clear()
    status = w.drift(world)
    assert (status["state"], status["phase"]) == ("Drifting", "Degraded")
    assert "MMD 0.052 [0.040, 0.059] > 0.030 DRIFT" in status["message"]
    assert status["message"].endswith("See docs/runbooks/drift.md")
    assert w.condition(world, "NoDrift") == ("False", "Drifting")
    assert w.condition(world, "Ready") == ("True", "Drifting")
    told = [(event.about.kind, event.reason) for event in world.events]
    assert told == [("DriftPolicy", "Drifting"), ("EmbeddingModel", "Drifting")]
    assert "see driftpolicy/watch." in world.status["message"]
    since = status["since"]
    assert w.drift(world)["since"] == since and len(world.events) == 2
    assert w.quiet(world)["state"] == "Quiet"
    assert [event.reason for event in world.events[2:]] == ["Quiet"]
    assert "drift" not in world.status["message"]


def test_a_status_is_written_once_a_window_at_most() -> None:
    world = w.watched()
    w.quiet(world)
    for value in (0.0121, 0.0124, 0.0119):
        before = len(world.writes)
        w.show(world, w.role(value))
        assert len(world.writes) == before, "the same numbers, rounded, are no news"
    before = len(world.writes)
    w.show(world, w.role(0.016))
    assert world.writes[before:] == [f"STATUS DriftPolicy {POLICY}"]
    before = len(world.writes)
    world.pass_time(30).settle()
    assert len(world.writes) == before


def test_after_a_restart_the_status_stands_until_a_window_is_read() -> None:
    world = w.watched()
    w.drift(world)
    before, events = len(world.writes), len(world.events)
    world.restart()
    world.settle()
    assert len(world.writes) == before and w.status(world)["state"] == "Drifting"
    w.drift(world)
    assert len(world.events) == events, "the same drift is not told twice"


UNWATCHED: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    (
        "disabled",
        {"monitoring": {"enabled": False}},
        {},
        "Unmonitored",
        "`spec.monitoring.enabled`",
    ),
    ("multiple", {}, {"windows": [{"seconds": 400}]}, "InvalidSpec", "no multiple of"),
]


@pytest.mark.parametrize(("name", "model", "spec", "reason", "words"), UNWATCHED)
def test_why_nothing_is_watched(
    name: str, model: dict[str, Any], spec: dict[str, Any], reason: str, words: str
) -> None:
    world = w.watched(model, **spec)
    assert world.plan.watch == () and w.status(world)["state"] == "Unmonitored"
    assert w.condition(world, "Ready") == ("False", reason)
    assert words in w.status(world)["message"]


def test_a_release_of_before_the_monitor_is_told() -> None:
    world = worlds.healthy()
    world.create(w.own_object("DriftPolicy", POLICY, w.policy_spec()))
    world.settle()
    assert "r1 was made without the monitor's image" in w.status(world)["message"]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"problem": "the monitor of pod x gave no answer within 5 s"}, "NoData"),
        (
            {"problem": "this artifact was made before monitoring", "watchable": False},
            "Unmonitored",
        ),
    ],
)
def test_what_the_monitors_do_not_give(fields: dict[str, Any], state: str) -> None:
    world = w.watched()
    status = w.show(world, **fields)
    assert status["state"] == state and fields["problem"] in status["message"]
    assert w.quiet(world)["state"] == "Quiet"


def test_too_little_traffic_is_no_verdict() -> None:
    world = w.watched()
    status = w.show(world, w.role(measured=(), samples=12))
    assert status["state"] == "NoData" and "12 of 200 embeddings" in status["message"]
    assert w.condition(world, "NoDrift") is None


def test_auto_needs_a_baseline_whose_windows_are_known() -> None:
    world = w.watched(baseline="HeldOut")
    trouble = "sampling error alone explains a distance of 0.008"
    status = w.show(world, RoleReport(TrafficRole.QUERY, samples=900, trouble=trouble))
    assert status["state"] == "Unmonitored" and trouble in status["message"]
    assert w.condition(world, "BaselineCalibrated") == ("False", "BaselineNotBlockCalibrated")
    assert w.condition(world, "Stalled") == ("True", "BaselineNotBlockCalibrated")


def test_what_was_left_out_is_told() -> None:
    world = w.watched()
    assert "pod x is left out" in w.show(world, w.role(), note="pod x is left out: …")["message"]


def test_more_policies_than_pods_hold_bets_for_are_told() -> None:
    world = w.watched()
    for number in range(4):
        spec = w.policy_spec(roles=["Query", "Embedding"])
        world.create(w.own_object("DriftPolicy", f"also-{number}", spec))
    assert "its evidence does not grow: pods hold 8 bets" in w.quiet(world)["message"]
    world.remove("DriftPolicy", "also-0")
    assert "does not grow" not in w.quiet(world)["message"]


def test_without_its_model_and_broken() -> None:
    world = w.watched()
    w.change(world, minSamples="many")
    assert w.condition(world, "Ready") == ("False", "InvalidSpec")
    assert "`spec.minSamples` ('many')" in w.status(world)["message"] and world.plan.watch == ()
    w.change(world, minSamples=300)
    world.remove("EmbeddingModel", "glyphs")
    world.settle()
    assert w.condition(world, "Ready") == ("False", "ModelNotFound")


# -- approval, and what is done


def test_a_retrain_waits_for_a_person_and_is_done_once() -> None:
    world = w.watched(actions=[RETRAIN])
    status = w.drift(world)
    identity = f"retrain-r1-{w.window_now(world)}"
    assert status["state"] == "WaitingForApproval" and status["request"]["id"] == identity
    command = (
        f"kubectl annotate driftpolicy/watch -n shop --overwrite lockstep.dev/approve={identity}"
    )
    assert status["message"].endswith(command)
    w.annotate(world, "approve", "retrain-r1-7")
    assert w.status(world)["state"] == "WaitingForApproval" and not world.has_release(2)
    w.drift(world)
    assert w.status(world)["request"]["id"] == identity, "the request stands"
    w.annotate(world, "approve", identity)
    spec = world.release(2)["spec"]
    assert (spec["cause"], spec["drift"]["request"]) == ("Drift", identity)
    assert spec["drift"]["approvedBy"] == "kubectl-annotate" and "reuse" not in spec
    # What the evaluation of r1 read is what it was trained on.
    assert spec["drift"]["knownData"] == world.record(1)["evaluation"]["datasetDigest"]
    status = w.status(world)
    assert status["state"] == "Acting" and "request" not in status
    (taken,) = status["actions"]
    assert taken["approvedBy"] == "kubectl-annotate" and taken["outcome"] == "r2 is Training"
    world.run()
    assert world.stage(2) == "Serving" and world.entry() == "glyphs-r2"
    assert w.status(world)["actions"][0]["outcome"] == "r2 is Serving"
    assert not world.has_release(3)


def test_a_rebuild_takes_the_model_over_and_reads_the_corpus_anew() -> None:
    world = w.watched(actions=[REBUILD | NOBODY])
    w.drift(world)
    spec = world.release(2)["spec"]
    assert spec["reuse"]["release"] == "glyphs-r1" and world.stage(2) == "Indexing"
    assert "knownData" not in spec["drift"]
    world.run()
    assert world.entry() == "glyphs-r2" and world.reasons().count("RollingBack") == 0


def test_a_request_that_is_not_approved_is_withdrawn_when_the_drift_is_over() -> None:
    world = w.watched(actions=[RETRAIN])
    identity = w.drift(world)["request"]["id"]
    status = w.quiet(world)
    assert status["state"] == "Quiet" and "request" not in status
    assert status["actions"][0]["outcome"] == "withdrawn: the drift is over"
    assert w.annotate(world, "approve", identity).has_release(2) is False
    # It did nothing, so nothing has to cool down.
    assert w.drift(world)["state"] == "WaitingForApproval"


def test_cooldown_and_limit_of_the_day() -> None:
    world = w.watched(
        actions=[REBUILD | NOBODY | {"cooldownSeconds": 600}], limits={"actionsPerDay": 2}
    )
    w.drift(world)
    world.run()
    assert "is not asked for: the last one was at" in w.drift(world)["message"]
    w.drift(world)
    assert world.has_release(3) is True or w.drift(world)
    world.run()
    for _ in range(4):
        status = w.drift(world)
    assert world.has_release(3) and not world.has_release(4)
    assert "`spec.limits.actionsPerDay` is 2" in status["message"]


def test_the_limit_of_the_operator_holds_a_request_until_there_is_room() -> None:
    world = w.watched(actions=[REBUILD | NOBODY])
    world.drift_releases = 4
    status = w.drift(world)
    assert status["state"] == "Acting" and "is the limit of the operator" in status["message"]
    assert not world.has_release(2)
    world.drift_releases = 3
    world.settle()
    assert world.has_release(2)


def test_what_is_on_its_way_ends_first() -> None:
    world = w.watched(actions=[REBUILD | NOBODY])
    world.change_model("training.seed", 7).settle()
    assert "waits: r2 is on its way and ends first" in w.drift(world)["message"]
    world.run()
    # r2 took the place of what drifted: nothing is to be done about r1 any more.
    assert w.status(world)["actions"][0]["outcome"] == "withdrawn: r1 does not serve any more"


def test_an_import_is_not_retrained_and_the_next_rule_is_asked() -> None:
    world = w.watched(
        {
            "training": None,
            "artifact": {"uri": "file:///artifacts/imports", "digest": "sha256:" + 64 * "0"},
            "evaluation": {"data": {"uri": "file:///artifacts/held-out.npz", "format": "NPZ"}},
        },
        actions=[RETRAIN, REBUILD],
    )
    status = w.drift(world)
    assert status["request"]["do"] == "Rebuild"
    assert "Retrain is not asked for: the model is imported" in status["message"]


def test_an_action_that_the_spec_no_longer_has_is_withdrawn() -> None:
    world = w.watched(actions=[RETRAIN])
    w.drift(world)
    w.change(world, actions=[])
    assert w.status(world)["actions"][0]["outcome"].startswith("withdrawn: `spec.actions`")


def test_a_request_that_waits_for_room_is_withdrawn_when_the_drift_is_over() -> None:
    world = w.watched(actions=[REBUILD | NOBODY])
    world.drift_releases = 4
    w.drift(world)
    assert w.quiet(world)["actions"][0]["outcome"] == "withdrawn: the drift is over"


def test_nothing_is_asked_for_by_what_was_seen_before_the_monitors_fell_silent() -> None:
    world = w.watched(actions=[])
    drifts = w.role(0.052, seen=(Seen.EVIDENCE,))
    w.show(world, drifts, problem="the monitor of pod x gave no answer within 5 s")
    w.change(world, actions=[RETRAIN])
    assert "request" not in w.status(world) and w.status(world)["state"] == "NoData"
    assert "drifts from its baseline" in world.status["message"], "no data is not quiet"


# -- rollback


def two(**spec: Any) -> worlds.World:
    world = w.watched(**spec)
    return world.change_model("training.seed", 7).run()


ROLLBACK = {"when": "Evidence", "do": "Rollback", "approval": "None"}


def test_edge_26_drift_that_began_with_the_promotion_takes_the_entry_back() -> None:
    world = two(actions=[ROLLBACK], baseline="HeldOut", tolerance="0.03")
    began = int(world.now.timestamp() // w.SECONDS) + 2
    w.drift(world, began=began)
    world.run()
    assert world.entry() == "glyphs-r1" and world.stage(2) == "Retained"
    assert w.status(world)["actions"][0]["outcome"] == "r1 takes the entry point back"
    for _ in range(3):
        world.pass_time(300).run()
    assert world.entry() == "glyphs-r1" and not world.has_release(3), "the spec does not fight it"


def test_edge_26_drift_that_came_later_is_the_traffic_and_no_rollback_helps() -> None:
    world = two(actions=[ROLLBACK], baseline="HeldOut", tolerance="0.03")
    world.pass_time(86_000)
    status = w.drift(world)
    assert "its cause is the traffic" in status["message"] and "request" not in status
    assert world.entry() == "glyphs-r2"


def test_edge_26_invalid_embeddings_are_the_release_s_own_fault() -> None:
    world = two(actions=[ROLLBACK | {"when": "Invalid"}])
    w.drift(world, Seen.INVALID, invalid=40)
    world.run()
    assert world.entry() == "glyphs-r1"


def test_edge_26_without_a_kept_release_there_is_nothing_to_go_back_to() -> None:
    world = w.watched(actions=[ROLLBACK | {"when": "Invalid"}])
    assert "no earlier release is kept" in w.drift(world, Seen.INVALID, invalid=40)["message"]


# -- pause


def test_edge_26_a_pause_holds_a_candidate_with_words_until_the_drift_is_over() -> None:
    world = w.watched(actions=[{"when": "Evidence", "do": "Pause"}])
    w.drift(world)
    world.change_model("training.seed", 7).run()
    record = world.record(2)
    assert record["stage"] == "Training" and record["pauseReason"] == "Paused"
    assert "held before Evaluating by DriftPolicy watch" in world.status["message"]
    assert "lockstep.dev/rebaseline=r1" in world.status["message"]
    w.quiet(world)
    world.run()
    assert world.entry() == "glyphs-r2"


def test_edge_26_what_is_made_against_the_drift_is_not_held_by_it() -> None:
    world = w.watched(actions=[{"when": "Evidence", "do": "Pause"}, REBUILD | NOBODY])
    w.drift(world)
    world.run()
    assert world.entry() == "glyphs-r2"


# -- rebaseline


def test_rebaseline_names_the_release_that_serves() -> None:
    world = w.watched()
    w.quiet(world)
    w.annotate(world, "rebaseline", "r9")
    assert world.plan.watch[0].parameters.epoch == ""
    assert "rebaseline=r9 does nothing: r1 serves" in w.status(world)["message"]
    w.annotate(world, "rebaseline", "r1")
    assert world.plan.watch[0].parameters.epoch == "r1"
    assert w.status(world)["rebaselined"] == "r1"
    w.annotate(world, "rebaseline", None)
    assert world.plan.watch[0].parameters.epoch == "r1", "its going is no wish"
    w.annotate(world, "rebaseline", "r1.2")
    assert world.plan.watch[0].parameters.epoch == "r1.2"


# -- crashes


@pytest.mark.parametrize("kill_at", range(6))
def test_a_kill_between_any_two_writes_ends_as_an_undisturbed_run(kill_at: int) -> None:
    world = w.watched(actions=[RETRAIN | NOBODY])
    world.kill_at = len(world.writes) + kill_at
    w.drift(world)
    w.drift(world)
    world.run()
    assert world.entry() == "glyphs-r2" and not world.has_release(3)
    assert [a["outcome"] for a in w.status(world)["actions"]] == ["r2 is Serving"]


def test_the_model_tells_of_drift_before_its_commands() -> None:
    world = w.watched()
    w.drift(world)

    def widen(raw: dict[str, Any]) -> None:
        raw["spec"]["training"]["encoder"]["dimension"] = 96

    world.edit("EmbeddingModel", worlds.MODEL, widen)
    world.run_to("Training", 2)
    message = world.status["message"]
    drift = message.index("What it embeds drifts from its baseline: see driftpolicy/watch.")
    assert drift < message.index("Stop: kubectl annotate")
    assert message.endswith("lockstep.dev/abort=r2")
