"""Counters of pods: restarts, pods that come and go, and what is left out. Real metrics text."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from lockstep_core.protocol import metrics as names
from lockstep_core.serving.observe import request_metrics
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_operator.runtime.counting import Counters, Counting, parse
from tests.unit.tallies import codes_in, tally_of, timed_in, within_in

pytestmark = pytest.mark.unit


class Pod:
    """The series of one encoder process, made by the code that makes them there."""

    def __init__(self, release: str = "glyphs-r2") -> None:
        self.registry = CollectorRegistry()
        self.requests, self.seconds = request_metrics(
            self.registry, names.ENCODER_REQUESTS, names.ENCODER_REQUEST_SECONDS
        )
        info = Gauge(names.ENCODER_INFO.name, "Who.", ("release", "space"), registry=self.registry)
        info.labels(release, "0" * 12).set(1)

    def answer(self, code: int = 200, seconds: float = 0.004, *, api: str = "search") -> None:
        self.requests.labels(api, str(code)).inc()
        self.seconds.labels(api).observe(seconds)

    def text(self) -> str:
        return generate_latest(self.registry).decode()

    def counters(self) -> Counters:
        return parse(self.text())


def test_the_encoders_own_text_is_read() -> None:
    pod = Pod()
    for seconds in (0.004, 0.04, 0.4):
        pod.answer(200, seconds)
    pod.answer(503, 0.004, api="embeddings")
    pod.answer(200, 0.004, api="models")
    found = pod.counters()
    within = within_in(found.tally)
    assert (found.release, codes_in(found.tally), timed_in(found.tally)) == (
        "glyphs-r2",
        {"200": 3, "503": 1},
        4,
    )
    assert (within[0.003], within[0.005], within[0.04]) == (0, 2, 3)
    assert len(within) >= 30


def test_text_that_is_no_metrics_is_refused() -> None:
    with pytest.raises(ValueError):
        parse("<html>not here</html>")
    assert parse("") == Counters()


def test_a_pod_of_the_first_scrape_counts_from_there_and_a_later_one_from_zero() -> None:
    counting, old, new = Counting(), Pod(), Pod()
    for _ in range(5):
        old.answer()
    assert counting.add({"old": old.counters()}) == tally_of(
        {"200": 0}, dict.fromkeys(_edges(), 0), 0
    )
    old.answer()
    new.answer(500)
    found = counting.add({"old": old.counters(), "new": new.counters()})
    assert (codes_in(found), timed_in(found)) == ({"200": 1, "500": 1}, 2)


def test_a_restart_counts_from_zero_and_a_pod_that_is_gone_stays_counted() -> None:
    counting, pod = Counting(), Pod()
    pod.answer()
    counting.add({"a": pod.counters()})
    for _ in range(7):
        pod.answer()
    assert timed_in(counting.add({"a": pod.counters()})) == 7
    again = Pod()
    again.answer()
    found = counting.add({"a": again.counters()})
    assert (timed_in(found), codes_in(found)["200"]) == (8, 8)
    assert timed_in(counting.add({})) == 8


def test_pods_with_other_edges_are_counted_at_the_common_ones() -> None:
    counting = Counting()
    counting.add({})
    one = Counters("r", tally_of({"200": 4}, {0.01: 1, 0.1: 3}, 4))
    other = Counters("r", tally_of({"200": 2}, {0.05: 1, 0.1: 2}, 2))
    found = counting.add({"a": one, "b": other})
    assert (within_in(found), timed_in(found)) == ({0.1: 5}, 6)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["answer", "restart", "scrape"])),
        max_size=40,
    )
)
def test_what_is_counted_is_what_was_answered_since_the_first_scrape(
    story: list[tuple[str, str]],
) -> None:
    """Only what a process answered after its last scrape is lost when it restarts."""
    counting, pods = Counting(), {name: Counters("r") for name in "abc"}
    counting.add(pods)
    counted, pending = 0, Counter[str]()
    for name, deed in story:
        known = pods[name]
        if deed == "answer":
            more = timed_in(known.tally) + 1
            pods[name] = Counters("r", tally_of({"200": more}, {1.0: more}, more))
            pending[name] += 1
        elif deed == "restart":
            pods[name] = Counters("r")
            pending[name] = 0
            # A restart is seen by a counter that went back, so it is scraped before it counts on.
            counted += pending.total()
            pending.clear()
            assert timed_in(counting.add(pods)) == counted
        else:
            counted += pending.total()
            pending.clear()
            found = counting.add(pods)
            assert (timed_in(found), codes_in(found).get("200", 0)) == (counted, counted)


def test_every_counter_and_histogram_of_the_encoder_is_counted_under_its_name() -> None:
    """A live gate on another metric needs no other counting."""
    registry, counting = CollectorRegistry(), Counting()
    series = EncoderMetrics(registry)
    counting.add({"a": parse(generate_latest(registry).decode())})
    series.rejected.labels("Overloaded").inc(3)
    series.rejected.labels("Cancelled").inc()
    series.queue_depth.set(7)
    for items in (1, 2, 30):
        series.batch_items.observe(items)
    found = counting.add({"a": parse(generate_latest(registry).decode())})
    assert found.by(names.ENCODER_REJECTED, "reason") == {"Overloaded": 3, "Cancelled": 1}
    assert found.total(names.ENCODER_REJECTED) == 4
    assert found.total(names.ENCODER_BATCH_ITEMS) == 3
    assert found.within(names.ENCODER_BATCH_ITEMS)[2.0] == 2
    # A gauge is no count, and a metric that no pod showed is empty.
    assert names.ENCODER_QUEUE_DEPTH.name not in found.counts
    assert found.by(names.ENCODER_REQUESTS, "code") == {}


def test_pods_without_a_common_edge_have_none_from_then_on() -> None:
    counting = Counting()
    counting.add({})
    one = Counters("r", tally_of({"200": 4}, {0.01: 1}, 4))
    other = Counters("r", tally_of({"200": 2}, {0.05: 1}, 2))
    assert within_in(counting.add({"a": one, "b": other})) == {}
    again = Counters("r", tally_of({"200": 6}, {0.01: 2}, 6))
    found = counting.add({"a": again, "b": other})
    assert (within_in(found), timed_in(found)) == ({}, 8)


def _edges() -> list[float]:
    pod = Pod()
    pod.answer()
    return list(within_in(pod.counters().tally))
