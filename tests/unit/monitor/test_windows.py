"""Windows that open and close by a clock, what they keep, and the bets that hold for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep_core.drift.bet import Bet
from lockstep_core.drift.sketch import merge_all
from lockstep_core.drift.sketch_wire import sketch_from_json
from lockstep_core.protocol.monitoring import TrafficRole
from lockstep_monitor.keeping import Kept
from lockstep_monitor.totals import Totals
from lockstep_monitor.windows import Windows
from tests.unit.monitor.support import features, header, rows

pytestmark = pytest.mark.unit

FEATURES = features()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def windows(clock: Clock, **options: Any) -> Windows:
    rng = np.random.default_rng(0)
    return Windows(FEATURES, seconds=10, unit_norm=True, clock=clock, rng=rng, **options)


def bet(key: str = "a", from_window: int = 0, role: str = "Query", epsilon: float = 0.1) -> Bet:
    witness = np.zeros(FEATURES.size, dtype=np.float32)
    witness[0] = 1
    return Bet(key, role, FEATURES.digest, from_window, witness, 0.0, epsilon, 0.1)


def applied(given: Windows, clock: Clock) -> set[str]:
    """Keys that hold for the window that is open now; closes it."""
    given.add(header(FEATURES, 1), rows(1, int(clock.now)))
    clock.now += 10
    given.roll()
    return {key for key, _ in given.last(1)[0].sketch.bets}


def test_the_sketches_of_all_windows_and_datagrams_are_the_sketch_of_all_rows() -> None:
    clock = Clock()
    split, whole = windows(clock), windows(clock)
    for number in range(6):
        role = TrafficRole.EMBEDDING if number == 5 else TrafficRole.QUERY
        split.add(header(FEATURES, 30, role), rows(30, number))
    together = np.concatenate([rows(30, number) for number in range(5)])
    whole.add(header(FEATURES, len(together)), together)
    clock.now = 1010.0
    split.roll(), whole.roll()
    opened, closed = split.closed_after(-1, 16)
    assert opened == 101 and [(each.window, each.sketch.role) for each in closed] == [
        (100, "Query"),
        (100, "Embedding"),
    ]
    one, (other,) = sketch_from_json(closed[0].wire), whole.closed_after(-1, 16)[1]
    assert one.n == other.sketch.n == 150
    np.testing.assert_allclose(one.sum_phi, other.sketch.sum_phi, atol=1e-4)
    np.testing.assert_allclose(one.sum_unit, other.sketch.sum_unit, atol=1e-4)


def test_pods_merge_to_the_sketch_of_all_their_rows() -> None:
    clock = Clock()
    pods = [windows(clock) for _ in range(3)]
    for number, pod in enumerate(pods):
        pod.add(header(FEATURES, 40), rows(40, number))
    all_of_them = windows(clock)
    all_of_them.add(header(FEATURES, 120), np.concatenate([rows(40, seed) for seed in range(3)]))
    clock.now += 10
    sketches = []
    for pod in (*pods, all_of_them):
        pod.roll()
        sketches.append(pod.last(1)[0].sketch)
    merged = merge_all(sketches[:3])
    assert merged.n == sketches[3].n == 120
    np.testing.assert_allclose(merged.sum_phi, sketches[3].sum_phi, atol=1e-5)


def test_a_clock_that_steps_back_opens_no_window_twice() -> None:
    clock = Clock()
    given = windows(clock)
    clock.now = 1011.0
    given.add(header(FEATURES, 1), rows(1, 1))
    clock.now = 950.0
    given.add(header(FEATURES, 1), rows(1, 2))
    clock.now = 1021.0
    given.roll()
    assert [(each.window, each.sketch.n) for each in given.last(9)] == [(101, 2)]


def test_a_monitor_that_begins_again_lost_the_open_window_at_most(tmp_path: Path) -> None:
    clock = Clock()
    first = windows(clock, files=Kept(tmp_path, FEATURES.digest), kept=3)
    for step in range(6):
        clock.now = 1000.0 + 10 * step
        for role in TrafficRole:
            first.add(header(FEATURES, 2, role), rows(2, step))
    before = first.last(99)
    assert [each.window for each in before] == [102, 102, 103, 103, 104, 104]
    (tmp_path / "windows" / "torn").write_bytes(before[0].wire[:-9])
    again = windows(clock, files=Kept(tmp_path, FEATURES.digest), kept=3)
    assert again.open_window == 105
    assert sorted(each.wire for each in again.last(99)) == sorted(each.wire for each in before)
    assert len(list((tmp_path / "windows").iterdir())) == 6, (
        "the torn one and the old ones are gone"
    )
    other = windows(clock, files=Kept(tmp_path, "sha256:" + "0" * 64))
    assert other.last(99) == [] and list((tmp_path / "windows").iterdir()) == []


def test_without_room_for_files_windows_are_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "windows").write_text("no folder")
    clock = Clock()
    given = windows(clock, files=Kept(tmp_path, FEATURES.digest))
    given.add(header(FEATURES, 2), rows(2))
    clock.now += 10
    given.roll()
    assert [each.window for each in given.last(9)] == [100]
    assert "kept in memory alone" in caplog.text


def test_windows_without_traffic_are_not_there_and_old_ones_are_forgotten() -> None:
    clock = Clock()
    given = windows(clock, kept=3)
    for step in range(6):
        clock.now = 1000.0 + 20 * step
        given.add(header(FEATURES, 1), rows(1, step))
    assert [each.window for each in given.last(9)] == [108] and given.open_window == 110
    assert given.closed_after(108, 16) == (110, [])


def test_an_answer_holds_both_roles_of_the_oldest_windows() -> None:
    clock = Clock()
    given = windows(clock)
    for step in range(4):
        clock.now = 1000.0 + 10 * step
        for role in TrafficRole:
            given.add(header(FEATURES, 1, role), rows(1, step))
    clock.now += 10
    given.roll()
    assert [each.window for each in given.closed_after(100, 2)[1]] == [101, 101, 102, 102]


def test_a_bet_holds_from_the_next_window_on_and_never_for_one_that_began() -> None:
    clock = Clock()
    given = windows(clock)
    given.add(header(FEATURES, 1), rows(1))
    assert given.place([bet("a", 100), bet("b", 102)]) == {("a", "Query"): 101, ("b", "Query"): 102}
    assert applied(given, clock) == set()
    assert applied(given, clock) == {"a"}
    assert applied(given, clock) == {"a", "b"}


def test_a_window_that_began_while_nobody_looked_gets_no_bet() -> None:
    clock = Clock()
    given = windows(clock)
    clock.now += 10
    assert given.place([bet("a", 101)]) == {("a", "Query"): 102}
    assert applied(given, clock) == set()


def test_a_bet_holds_until_the_one_after_it_and_ends_when_it_is_left_out() -> None:
    clock = Clock()
    given = windows(clock)
    given.place([bet("a"), bet("b")])
    applied(given, clock)
    digests = {bet("a").digest, bet("a", 103, epsilon=0.2).digest}
    given.place([bet("a", 103, epsilon=0.2)])
    assert applied(given, clock) == {"a", "b"}, "window 101 had begun"
    assert applied(given, clock) == {"a"}
    assert {digest for _, digest in given.last(1)[0].sketch.bets} == {bet("a").digest}
    assert applied(given, clock) == {"a"}
    ((_, digest),) = given.last(1)[0].sketch.bets
    assert digest in digests - {bet("a").digest}


def test_the_same_bet_placed_again_goes_on() -> None:
    clock = Clock()
    given = windows(clock)
    given.place([bet("a")])
    applied(given, clock)
    assert given.place([bet("a")]) == {("a", "Query"): 101}
    assert applied(given, clock) == {"a"} == applied(given, clock)


def test_bets_are_of_their_role() -> None:
    clock = Clock()
    given = windows(clock)
    given.place([bet("a", role="Embedding")])
    applied(given, clock)
    given.add(header(FEATURES, 1, TrafficRole.EMBEDDING), rows(1))
    applied(given, clock)
    assert given.bets == 1
    assert {each.sketch.role: len(each.sketch.bets) for each in given.last(2)} == {
        "Query": 0,
        "Embedding": 1,
    }


def test_what_was_not_chosen_and_what_was_lost_is_counted() -> None:
    clock = Clock()
    given = windows(clock)
    given.add(header(FEATURES, 2, observed=500, sampled=100), rows(2, 1))
    given.add(header(FEATURES, 3, observed=600, sampled=120, dropped=15), rows(3, 2))
    clock.now += 10
    given.roll()
    counters = given.last(1)[0].sketch.counters
    assert (counters.sampled, counters.dropped) == (5, 15)
    assert counters.observed == 5 + 80 + 15, "what came before this monitor is not counted"


def test_totals_begin_anew_with_the_process_of_the_encoder() -> None:
    totals = Totals()
    assert totals.since(header(FEATURES, 5, observed=900, sampled=90, dropped=9)) == (0, 0)
    assert totals.since(header(FEATURES, 5, observed=910, sampled=95, dropped=9)) == (5, 0)
    again = header(FEATURES, 5, observed=40, sampled=15, dropped=2, process=8)
    assert totals.since(again) == (25, 2)
    backwards = header(FEATURES, 5, observed=3, sampled=15, dropped=0, process=8)
    assert totals.since(backwards) == (0, 0)
