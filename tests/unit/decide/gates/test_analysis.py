"""Analysis steps: what is asked when, and what a series decides."""

from __future__ import annotations

import math

import pytest

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.decide.gates.analysis import Analysis
from lockstep_operator.decide.snapshot.measurements import (
    Answer,
    Measurement,
    Query,
    Scrape,
    Tally,
    Target,
    Unmeasured,
)
from tests.unit.decide import worlds
from tests.unit.decide.gates.lab import Lab
from tests.unit.tallies import tally_of

pytestmark = pytest.mark.unit

LATENCY = {
    "name": "latency",
    "type": "Latency",
    "quantile": "0.95",
    "maxMilliseconds": 100,
    "minSamples": 100,
}
ERRORS = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.01", "minSamples": 100}
LOAD = {
    "name": "load",
    "type": "Prometheus",
    "prometheus": {
        "url": "http://prometheus:9090",
        "query": 'x{ns="$(namespace)",m="$(model)",r="$(release)",s="$(stable)"}',
    },
    "maxValue": "0.5",
}

GOOD = tally_of({"200": 1000}, {0.1: 1000}, 1000)
SLOW = tally_of({"200": 1000}, {0.1: 500, 0.25: 500}, 1000)
FAILING = tally_of({"200": 500, "500": 500}, {0.1: 1000}, 1000)


def test_the_ready_encoder_pods_of_the_candidate_are_scraped_at_once() -> None:
    lab = Lab(LATENCY).pod("b").pod("a").pod("starting", ready=False)
    lab.pod("stable", release="glyphs-r1")
    assert lab.look() == Analysis(None, [], "")
    (request,) = lab.asked
    assert request.is_due and request.number == 0 and isinstance(request.what, Scrape)
    assert request.what.release == "glyphs-r2"
    assert [target.pod for target in request.what.targets] == ["a", "b"]
    assert request.what.targets[0] == Target(
        request.what.targets[0].uid, "a", "http://10.0.0.7:8080/metrics"
    )


def test_requests_count_from_the_first_scrape_and_the_next_is_due_an_interval_later() -> None:
    lab = Lab(LATENCY | {"intervalSeconds": 30})
    lab.look()
    lab.answer("latency", Tally())
    assert lab.look().verdict is None
    assert (lab.request("latency").number, lab.request("latency").due_in, lab.wake) == (1, 30, 30)
    lab.world.pass_time(12)
    lab.look()
    assert (lab.request("latency").due_in, lab.wake) == (18, 18)
    lab.world.pass_time(18)
    lab.look()
    lab.answer("latency", GOOD)
    found = lab.look()
    assert found.verdict is Verdict.PASS and found.verdicts[0].observed_at == lab.world.text()
    assert found.message.startswith("latency: p95 <= 100 ms OK: 0% of 1,000 requests slower")


def test_a_clock_that_was_set_back_does_not_put_a_measurement_off() -> None:
    lab = Lab(LATENCY)
    lab.look()
    lab.answer("latency", Tally())
    lab.world.pass_time(-86_400)
    lab.look()
    assert lab.request("latency").due_in == 10


def test_a_settled_gate_keeps_its_series_and_asks_for_nothing() -> None:
    lab = Lab(LATENCY, ERRORS)
    lab.look()
    lab.answer("latency", Tally())
    lab.answer("errors", Tally())
    lab.world.pass_time(10)
    lab.look()
    lab.answer("latency", GOOD)
    found = lab.look()
    assert found.verdict is None and [v.name for v in found.verdicts] == ["latency"]
    assert lab.request("latency").due_in == math.inf and lab.wake is not None
    lab.answer("errors", GOOD)
    assert lab.look().verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("latency", "errors", "verdict"),
    [
        (GOOD, GOOD, Verdict.PASS),
        (SLOW, GOOD, Verdict.FAIL),
        (GOOD, FAILING, Verdict.FAIL),
        (SLOW, FAILING, Verdict.FAIL),
    ],
)
def test_gates_are_judged_side_by_side(latency: Tally, errors: Tally, verdict: Verdict) -> None:
    lab = Lab(LATENCY, ERRORS)
    lab.look()
    for name in lab.names:
        lab.answer(name, Tally())
    lab.world.pass_time(10)
    lab.look()
    lab.answer("latency", latency)
    lab.answer("errors", errors)
    assert lab.look().verdict is verdict


def test_one_failure_ends_the_analysis_before_the_others_have_decided() -> None:
    found = Lab(LATENCY, ERRORS).play("latency", Tally(), SLOW)
    assert found.verdict is Verdict.FAIL and found.message.startswith("latency: p95 <= 100 ms FAIL")


def test_a_gate_that_does_not_decide_hides_no_failure_of_another() -> None:
    lab = Lab(LATENCY | {"inconclusiveLimit": 0}, ERRORS)
    assert lab.play("latency", Tally(), tally_of({}, {}, 1)).verdict is None
    found = lab.play("errors", Tally(), FAILING)
    assert found.verdict is Verdict.FAIL and found.message.startswith("errors:")


@pytest.mark.parametrize(
    ("how", "verdict"), [("Pause", Verdict.INCONCLUSIVE), ("Fail", Verdict.FAIL)]
)
def test_too_little_traffic_is_waited_for_and_then_a_person(how: str, verdict: Verdict) -> None:
    lab = Lab(LATENCY | {"onInconclusive": how})
    few = tally_of({"200": 3}, {0.1: 3}, 3)
    found = lab.play("latency", Tally(), few, few, few)
    assert found.verdict is None
    assert lab.play("latency", few).verdict is verdict


@pytest.mark.parametrize(
    ("how", "verdict"), [("Pause", Verdict.INCONCLUSIVE), ("Fail", Verdict.FAIL)]
)
def test_what_cannot_be_measured_is_told_in_the_same_words_and_never_passes(
    how: str, verdict: Verdict
) -> None:
    lab = Lab(LATENCY | {"onInconclusive": how})
    lost = Unmeasured("pod x at http://10.0.0.7:8080/metrics answered 503")
    assert lab.play("latency", lost).message == ""
    words = {lab.play("latency", lost).message for _ in range(3)}
    assert words == {f"latency: {lost.message}"}
    found = lab.play("latency", lost)
    assert found.verdict is verdict
    assert "not measured 5 times in a row, 4 allowed (`errorLimit`)" in found.message


def test_a_lost_first_scrape_is_no_zero_to_count_from() -> None:
    lab = Lab(ERRORS)
    found = lab.play("errors", Unmeasured("lost"), Tally(), GOOD)
    assert found.verdict is Verdict.PASS and found.verdicts[0].samples == 1000


def test_a_dry_run_is_waited_for_and_never_counts() -> None:
    lab = Lab(LATENCY | {"dryRun": True}, ERRORS)
    assert lab.play("errors", Tally(), GOOD).verdict is None
    found = lab.play("latency", Tally(), SLOW)
    assert found.verdict is Verdict.PASS and "FAIL" in found.message and "dry run" in found.message


def test_other_bounds_and_a_step_that_begins_anew_are_other_series() -> None:
    lab = Lab(ERRORS)
    lab.look()
    first = lab.request("errors").series
    lab.world.change_model("rollout.gates", [worlds.GATE, ERRORS | {"maxRatio": "0.02"}])
    lab.look()
    bounds = lab.request("errors").series
    record = lab.world.record(2)
    step = record["step"] | {"startedAt": "2026-01-31T15:00:00Z"}
    lab.world.set_status("EmbeddingRelease", "glyphs-r2", {"step": step})
    lab.look()
    assert len({first, bounds, lab.request("errors").series}) == 3


def test_a_query_is_asked_about_this_candidate_when_it_had_traffic_for_an_interval() -> None:
    lab = Lab(LOAD)
    lab.look()
    request = lab.request("load")
    assert 0 < request.due_in <= 10
    words = 'x{ns="shop",m="glyphs",r="glyphs-r2",s="glyphs-r1"}'
    assert request.what == Query("http://prometheus:9090", words)
    assert lab.play("load", Answer(())).verdict is None
    assert lab.play("load", Answer((0.4,))).verdict is Verdict.PASS


def test_a_gate_that_is_not_there_waits_for_a_person() -> None:
    lab = Lab(LATENCY)
    lab.names = ["latency", "lost"]
    found = lab.play("latency", Tally(), GOOD)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.message == "lost: no live gate lost in `spec.rollout.gates`"


def test_an_error_ratio_is_measured_beside_stable_and_waits_for_nothing_of_it() -> None:
    errors = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.01", "minSamples": 100}
    lab = Lab(errors).pod("a").pod("b", release="glyphs-r1")
    lab.look()
    scrapes = {request.series.release: request.what for request in lab.asked}
    assert {name: [t.pod for t in scrape.targets] for name, scrape in scrapes.items()} == {
        "glyphs-r2": ["a"],
        "glyphs-r1": ["b"],
    }
    (beside,) = (r for r in lab.asked if r.series.release == "glyphs-r1")
    refusing = tally_of({"200": 100, "422": 900}, {0.1: 100}, 100)
    lab.answer("errors", Tally())
    answered = (Tally(), tally_of({"200": 1000}, {0.1: 1000}, 1000))
    lab.series |= {beside.series: tuple(Measurement(lab.world.now, one) for one in answered)}
    found = lab.play("errors", refusing)
    assert found.verdict is Verdict.FAIL
    assert "4xx 90% (422: 900), stable 0%" in found.message
