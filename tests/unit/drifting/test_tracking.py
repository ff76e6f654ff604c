"""The tracker: what it learns, when it speaks, and that it goes on after any window."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.calm import LEAST_WINDOWS, MOST_WINDOWS
from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.role_tracking import MOST_LEARNED
from lockstep_core.drift.span_sums import PARTS, SpanSums
from lockstep_core.drift.tracking import begin, step
from lockstep_core.drift.tracking_records import state_from_json, state_to_json
from lockstep_core.protocol.drift import BaselineKind, Parameters, Seen
from lockstep_core.protocol.monitoring import TrafficRole
from tests.unit.drifting.streams import KEY, Stream, draw, features, sketch_of

pytestmark = pytest.mark.unit


def quiet_stream() -> Stream:
    stream = Stream()
    stream.run(10)
    return stream


def test_a_baseline_of_traffic_is_learned_from_whole_windows() -> None:
    stream = Stream()
    for learned in range(1, 8):
        stream.next()
        assert (stream.report.learned, stream.report.needed) == (learned, 8)
        assert stream.report.tolerance is None and not stream.report.seen
    stream.next(n=100)
    assert stream.report.learned == 7 and stream.report.samples == 100
    stream.next(n=0)
    assert stream.report.learned == 7 and stream.report.samples == 0
    stream.next()
    assert stream.report.block_calibrated and stream.report.tolerance > 0
    # The window that ended the learning is not judged by what was learned from it.
    assert stream.report.measured == ()
    stream.next()
    assert stream.report.judged.samples == 400


def test_windows_with_few_embeddings_are_added_until_there_are_enough_of_them() -> None:
    """Six windows of 250 never have the 2000 that a baseline needs: two more are learned."""
    stream = Stream(n=250)
    stream.run(7)
    assert stream.report.tolerance is None
    assert (stream.report.learned, stream.report.needed) == (7, 8)
    stream = Stream(Parameters("glyphs-r1", baseline_windows=6, budget_windows=100.0), n=250)
    for learned in range(1, 8):
        stream.next()
        assert stream.report.learned == learned
    assert stream.report.needed == 8 and "1750 embeddings" in stream.report.trouble
    stream.next()
    assert stream.report.tolerance is not None and not stream.report.trouble
    few = Stream(Parameters("glyphs-r1", baseline_windows=6, min_samples=20), n=24)
    few.run(MOST_LEARNED + 2)
    assert few.report.learned == MOST_LEARNED and few.report.tolerance is None
    assert state_from_json(state_to_json(few.state)).reports == few.state.reports


def test_a_quiet_stream_stays_quiet_and_drift_is_seen_and_over() -> None:
    stream = quiet_stream()
    for _ in range(30):
        stream.next()
        assert Seen.EVIDENCE not in stream.report.seen
    seen = None
    for number in range(20):
        stream.next(shift=0.15)
        if Seen.EVIDENCE in stream.report.seen:
            seen = number
            break
    assert seen is not None and seen < 15, stream.report
    assert stream.report.began is not None
    stream.next(shift=0.5)
    assert Seen.LOWER_BOUND in stream.report.seen
    for _ in range(LEAST_WINDOWS + 6):
        stream.next()
    assert not stream.report.seen and stream.report.began is None


def test_an_alarm_ends_where_no_single_window_can_show_that_it_is_over() -> None:
    """A window of 400 rarely shows a distance below 0.03; a few of them together do."""
    stream = quiet_stream()
    stream.parameters = replace(stream.parameters, tolerance=0.03)
    while Seen.EVIDENCE not in stream.report.seen:
        stream.next(shift=0.2)
    uppers = []
    for _ in range(2 * MOST_WINDOWS):
        stream.next()
        uppers.append(stream.report.judged.upper)
        if not stream.report.seen:
            break
    assert not stream.report.seen and max(uppers[-LEAST_WINDOWS:]) > 0.03, uppers
    # A drift that goes on ends nothing, however little it is above the tolerance.
    while Seen.EVIDENCE not in stream.report.seen:
        stream.next(shift=0.2)
    for _ in range(3 * MOST_WINDOWS):
        stream.next(shift=0.1)
        assert Seen.EVIDENCE in stream.report.seen


def test_too_few_embeddings_give_no_verdict_and_keep_the_evidence() -> None:
    stream = quiet_stream()
    while Seen.EVIDENCE not in stream.next(shift=0.5).reports[0].seen:
        pass
    evidence = stream.report.evidence_log10
    for n in (0, 20):
        stream.next(n=n)
        assert stream.report.measured == () and Seen.EVIDENCE in stream.report.seen
    assert stream.report.evidence_log10 == pytest.approx(evidence, abs=2.0)


def test_invalid_embeddings_are_seen_at_once_also_while_learning() -> None:
    stream = Stream()
    stream.next(invalid=4)
    assert not stream.report.seen and stream.report.invalid == 4
    stream.next(invalid=40)
    assert stream.report.seen == {Seen.INVALID}
    stream.next()
    assert not stream.report.seen


def test_a_tolerance_of_ones_own_begins_the_evidence_anew_and_keeps_the_baseline() -> None:
    stream = quiet_stream()
    learned = stream.state.roles[TrafficRole.QUERY].baseline
    stream.parameters = replace(stream.parameters, tolerance=0.5)
    stream.run(3, shift=0.15)
    assert stream.report.tolerance == 0.5 and not stream.report.seen
    assert stream.state.roles[TrafficRole.QUERY].baseline is learned
    assert stream.report.evidence_log10 == 0


@pytest.mark.parametrize(
    "change",
    [{"release": "glyphs-r2"}, {"epoch": "r1"}, {"window_seconds": 600}],
    ids=["release", "epoch", "window"],
)
def test_another_release_epoch_or_window_is_learned_anew(change: dict[str, object]) -> None:
    stream = quiet_stream()
    other = replace(stream.parameters, **change)
    assert not stream.state.fits(other)
    after = step(stream.state, stream.window, {}, other)
    assert after.reports[0].learned == 0 and after.reports[0].tolerance is None


def test_a_window_that_is_not_after_the_last_one_changes_nothing() -> None:
    stream = quiet_stream()
    sketch = sketch_of(draw(stream.rng, 400), stream.window - 1)
    again = step(stream.state, stream.window - 1, {TrafficRole.QUERY: sketch}, stream.parameters)
    assert again is stream.state


@pytest.mark.parametrize("stop", [0, 3, 7, 8, 12, 16, 21])
def test_it_goes_on_after_any_window_as_if_nothing_had_been(stop: int) -> None:
    spans = Parameters(
        "glyphs-r1", baseline_windows=8, budget_windows=100.0, spans=(1, 24), tolerance=None
    )
    streams = [Stream(spans), Stream(spans)]
    for number in range(22):
        for stream in streams:
            stream.next(shift=0.0 if number < 14 else 0.2)
        if number == stop:
            text = state_to_json(streams[1].state)
            streams[1].state = state_from_json(text)
            assert state_to_json(streams[1].state) == text
    assert state_to_json(streams[0].state) == state_to_json(streams[1].state)
    assert Seen.EVIDENCE in streams[0].report.seen


def test_a_state_is_small_and_what_is_no_state_is_refused() -> None:
    stream = Stream(Parameters("glyphs-r1", baseline_windows=64, spans=(1, 288, 2016)))
    stream.run(40)
    assert len(state_to_json(stream.state)) < 200_000
    text = state_to_json(stream.state)
    for wrong in ("", "{}", text[:-9], text.replace('"epoch"', '"epok"'), "[" * 100_000):
        with pytest.raises(DriftError, match="begins anew"):
            state_from_json(wrong)


def test_a_state_of_before_windows_were_added_up_after_an_alarm_is_read() -> None:
    stream = quiet_stream()
    content = json.loads(state_to_json(stream.state))
    for role in content["roles"]:
        del role["calm"]
        role["quiet"] = 2
    read = state_from_json(json.dumps(content))
    assert state_to_json(read) == state_to_json(stream.state)


def test_a_day_of_windows_is_twelve_sums() -> None:
    sums = SpanSums(288)
    for window in range(5000, 5600):
        sums = sums.add(sketch_of(draw(np.random.default_rng(window), 4), window))
    assert PARTS <= len(sums.parts) <= PARTS + 1
    assert 264 * 4 <= sums.total.n <= 288 * 4
    # What is long ago does not count, also when nothing more comes.
    assert sums.at(5600 + 288 + 24).total is None


def test_held_out_items_say_nothing_of_blocks_so_auto_has_no_ground() -> None:
    rng = np.random.default_rng(5)
    held_out = from_embeddings(draw(rng, 4000), features(), rng)
    parameters = Parameters("glyphs-r1", baseline=BaselineKind.HELD_OUT, budget_windows=50.0)
    sketch = {TrafficRole.QUERY: sketch_of(draw(rng, 400), 5)}
    state = step(begin(KEY, parameters), 5, sketch, parameters, held_out)
    (report,) = state.reports
    assert report.tolerance is None and report.needed == 0
    assert "sampling error alone" in report.trouble
    judged = replace(parameters, tolerance=0.05)
    sketch = {TrafficRole.QUERY: sketch_of(draw(rng, 400), 6)}
    state = step(state, 6, sketch, judged, None)
    assert state.reports[0].judged is not None and state.reports[0].tolerance == 0.05


def test_bets_hold_from_the_window_after_the_next_and_carry_their_role() -> None:
    stream = quiet_stream()
    (bet,) = stream.state.coming_bets
    assert bet.from_window == stream.window + 1 and bet.key == f"{KEY}-Query"
    assert bet.role == "Query"
