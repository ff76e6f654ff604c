"""Live queries asked once more, exactly: how often, of whom, and what is counted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lockstep_core.protocol.monitoring import RecallConfig, RecallIndex
from lockstep_core.protocol.recall import RecallAnswer
from lockstep_monitor import answers
from lockstep_monitor.metrics import MonitorMetrics
from lockstep_monitor.monitor import Monitor
from lockstep_monitor.recall import Recall
from lockstep_monitor.recall_client import Found, Refused
from lockstep_monitor.recall_counts import RecallCounts
from lockstep_monitor.recall_pace import LONGEST_PAUSE_SECONDS, Pace
from tests.unit.monitor.support import (
    SPACE,
    config,
    datagram,
    features,
    hand_over,
    rows,
    short_folder,
)

pytestmark = pytest.mark.unit


def index(name: str = "letters") -> RecallIndex:
    return RecallIndex(
        name=name, url="http://nobody:1", build_digest="sha256:" + "1" * 64, space_id=SPACE
    )


class World:
    """An index whose exact searches take `seconds`, and whose approximate ones lose `lost` of 10.

    What it is told to raise it raises, through the index or exactly.
    """

    def __init__(self, *names: str, per_minute: int = 60) -> None:
        self.now = 1000.0
        self.seconds, self.lost = 0.001, 0
        self.raises: dict[bool, Refused] = {}
        self.asked: list[tuple[str, bool]] = []
        indexes = tuple(index(name) for name in names or ("letters",))
        asked = RecallConfig(per_minute=per_minute, k=10, indexes=indexes)
        self.metrics = MonitorMetrics()
        self.counts = RecallCounts(10, seconds=300, clock=lambda: self.now)
        self.recall = Recall(
            asked, self.counts, self.metrics, ask=self._answer, clock=lambda: self.now
        )
        self._seed = 0

    def _answer(self, of: RecallIndex, query: Any, k: int, *, exact: bool) -> list[Found]:
        self.asked.append((of.name, exact))
        if exact:
            self.now += self.seconds
        if exact in self.raises:
            raise self.raises[exact]
        kept = [Found(f"row-{n}", n / 10) for n in range(k)]
        return kept if exact else kept[self.lost :]

    def query(self, vectors: Any = None, after: float = 1.0) -> World:
        """A search comes, and the period ends."""
        self.now += after
        self._seed += 1
        self.recall.offer(rows(1, self._seed) if vectors is None else vectors)
        self.recall.step()
        return self

    def counted(self, name: str) -> dict[tuple[str, ...], float]:
        found = getattr(self.metrics, name).collect()[0].samples
        return {tuple(s.labels.values()): s.value for s in found if s.name.endswith("_total")}


def test_hits_and_expected_neighbours_are_counted() -> None:
    world = World()
    for lost in (0, 1, 3):
        world.lost = lost
        world.query()
    assert world.counted("recall_queries") == {("letters", "10"): 3}
    assert world.counted("recall_hits") == {("letters", "10"): 26}
    assert world.counted("recall_expected") == {("letters", "10"): 30}
    _, closed, (filling,) = world.counts.closed_after(-1)
    assert not closed and (filling.n, filling.hits, filling.expected) == (3, 26, 30)
    assert filling.mean == pytest.approx(26 / 30)
    assert filling.sumsq == pytest.approx(1 + 0.81 + 0.49)


def test_an_exact_search_is_followed_by_a_hundred_times_its_time() -> None:
    world = World()
    world.seconds = 0.5
    for _ in range(200):
        world.query()
    # 50 s of rest after each half second.
    assert world.asked.count(("letters", True)) == 4
    assert world.counted("recall_dropped") == {("Budget",): 196}


def test_a_search_that_fails_late_is_paid_for_too() -> None:
    world = World()
    world.seconds = 10.0
    world.raises[True] = Refused("Unavailable", "late")
    for _ in range(900):
        world.query()
    assert world.asked.count(("letters", True)) == 1


@pytest.mark.parametrize("reason", ["Overloaded", "Unavailable", "Pairing"])
def test_an_index_that_refuses_is_left_alone_for_longer_and_longer(reason: str) -> None:
    world = World()
    world.raises[False] = Refused(reason, "index letters has no room")
    for _ in range(3600):
        world.query()
    asked = len(world.asked)
    assert 12 <= asked <= 20
    assert world.counted("recall_refused") == {("letters", reason): asked}
    assert world.counted("recall_queries") == {}
    assert world.recall.problems == {"letters": "index letters has no room"}
    world.raises.clear()
    world.query(after=LONGEST_PAUSE_SECONDS).query()
    assert world.counted("recall_queries") == {("letters", "10"): 2} and not world.recall.problems


def test_indexes_take_turns_and_one_that_is_slow_holds_up_no_other() -> None:
    world = World("a", "b", "c")
    for _ in range(9):
        world.query()
    assert [name for name, exact in world.asked if exact] == ["a", "b", "c"] * 3
    world.asked.clear()
    world.recall._paces["b"].refused(world.now)
    for _ in range(4):
        world.query()
    assert [name for name, exact in world.asked if exact] == ["a", "c", "a", "c"]


def test_a_query_that_is_repeated_in_its_window_is_counted_once() -> None:
    world, same = World(), rows(1, 5)
    for _ in range(10):
        world.query(same)
    assert world.counted("recall_queries") == {("letters", "10"): 1}
    assert world.counted("recall_dropped") == {("Repeated",): 9}
    world.query(same, after=300)
    assert world.counted("recall_queries") == {("letters", "10"): 2}


def test_what_is_no_embedding_is_not_asked() -> None:
    world = World()
    world.query(np.full((1, 16), np.nan, dtype=np.float32))
    assert world.asked == [] and world.counted("recall_dropped") == {("Invalid",): 1}


def test_every_query_of_a_period_is_as_likely_as_any_other() -> None:
    world, chosen = World(), np.zeros(12)
    world.recall._ask = lambda of, row, k, exact: (
        chosen.__setitem__(int(row[0]), 1 + chosen[int(row[0])]) or []
    )
    for _ in range(6000):
        numbers = np.arange(12, dtype=np.float32).reshape(12, 1)
        for part in (numbers[:1], numbers[1:4], numbers[4:]):
            world.recall.offer(part)
        world.recall.step()
        world.now += 1
    assert chosen.sum() == 12_000 and np.abs(chosen - 1000).max() < 150


def test_nothing_is_asked_where_it_is_off() -> None:
    for world in (World(per_minute=0), World()):
        if world.recall.is_on:
            world.recall.step()
            continue
        world.query()
    assert world.asked == []


def test_windows_close_and_a_day_of_them_is_kept() -> None:
    world = World()
    for _ in range(300):
        world.query(after=300)
    opened, closed, filling = world.counts.closed_after(-1)
    assert len(closed) == 288 and len(filling) == 1 and filling[0].window == opened
    assert [each.window for each in closed] == sorted(each.window for each in closed)
    assert [each.window for each in world.counts.closed_after(opened - 3)[1]] == [
        opened - 2,
        opened - 1,
    ]


def test_pauses_double_up_to_a_bound() -> None:
    pace, now, pauses = Pace(), 0.0, []
    for _ in range(9):
        pace.refused(now)
        begun = now
        while pace.why_not(now) is not None:
            now += 1
        pauses.append(now - begun)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_only_queries_are_offered_and_the_page_tells_of_them() -> None:
    with short_folder() as folder:
        given = features()
        asked = RecallConfig(indexes=(index(),))
        monitor = Monitor(config(folder).model_copy(update={"recall": asked}))
        hand_over(folder, given)
        monitor.tick()
        offered: list[int] = []
        monitor.recall._slot.offer = lambda found: offered.append(len(found))  # type: ignore[method-assign]
        from lockstep_core.protocol.monitoring import TrafficRole

        monitor.take(datagram(given, rows(3)))
        monitor.take(datagram(given, rows(4), TrafficRole.EMBEDDING))
        assert offered == [3]
        monitor.recall.counts.add(index(), b"x", 9, 10)
        status, _, body = answers.recall(monitor, "after=-1")
        answer = RecallAnswer.model_validate_json(body)
        assert status == 200 and answer.k == 10 and answer.indexes == ["letters"]
        assert [(each.index, each.mean) for each in answer.open] == [("letters", 0.9)]
        assert answers.recall(monitor, "after=soon")[0] == 422
        report = json.loads(answers.report(monitor)[2])
        assert report["recall"]["windows"][0]["recall"] == 0.9
