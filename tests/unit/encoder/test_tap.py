"""What the encoder shows its monitor: which rows, how many, and never at the cost of serving."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from lockstep_core.protocol.monitoring import (
    HEADER_BYTES,
    SOCKET_NAME,
    Header,
    TapConfig,
    TrafficRole,
    read_header,
)
from lockstep_encoder import tap as tapping
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.sampling import Sample, share, thinned
from lockstep_encoder.tap import Tap
from tests.unit.monitor.support import rows, short_folder

pytestmark = pytest.mark.unit

DIGEST = "sha256:" + "5a" * 32
QUERY, EMBEDDING = TrafficRole.QUERY, TrafficRole.EMBEDDING


def numbered(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)[:, None]


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(1, 20), st.integers(0, 2**32))
def test_a_sample_has_distinct_rows_of_those_offered(
    requests: list[int], size: int, seed: int
) -> None:
    sample, total = Sample(size, random.Random(seed).random), 0
    for count in requests:
        sample.offer(numbered(total, count))
        total += count
    taken = [float(row[0]) for row in sample.take()]
    assert len(taken) == min(size, total) == len(set(taken))
    assert all(0 <= value < total for value in taken)
    assert sample.take() == [] and sample.seen == 0


@pytest.mark.parametrize("requests", [[60], [1] * 60, [7, 1, 40, 12]])
def test_each_row_of_a_period_is_as_likely_as_any_other(requests: list[int]) -> None:
    """First, last, alone, or among many of one request: 10 of 60, 6,000 times."""
    chance, counts = random.Random(1).random, Counter[int]()
    sample = Sample(10, chance)
    for _ in range(6000):
        start = 0
        for count in requests:
            sample.offer(numbered(start, count))
            start += count
        counts.update(int(row[0]) for row in thinned(sample.take(), 8, chance))
    expected = 6000 * 8 / 60
    statistic = sum((counts[row] - expected) ** 2 / expected for row in range(60))
    assert statistic < 110, "chi-square of 59 degrees exceeds this once in 10,000"


def test_chance_at_its_edges_is_taken() -> None:
    for value in (0.0, 1 - 2**-53):
        sample = Sample(3, lambda value=value: value)
        for start in range(50):
            sample.offer(numbered(start, 1))
        assert len(sample.take()) == 3


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_a_budget_is_shared_and_not_exceeded(budget: int, queries: int, embeddings: int) -> None:
    first, second = share(budget, (queries, embeddings))
    assert 0 <= first <= queries and 0 <= second <= embeddings
    assert first + second == min(budget, queries + embeddings)
    assert first >= min(queries, budget - budget // 2)
    assert second >= min(embeddings, budget // 2)


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as found:
        yield found


@pytest.fixture
def period(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(tapping, "PERIOD_SECONDS", 0.1)
    return 0.1


class Tapped:
    """A tap, its metrics, and the monitor's end of the socket."""

    def __init__(self, folder: Path, most: int = 50, dimension: int = 16) -> None:
        self.registry = CollectorRegistry()
        self.path = folder / SOCKET_NAME
        self.tap = Tap(
            TapConfig(directory=str(folder), max_per_second=most),
            features_digest=DIGEST,
            dimension=dimension,
            metrics=EncoderMetrics(self.registry),
            chance=random.Random(0).random,
        )

    def listen(self) -> socket.socket:
        self.path.unlink(missing_ok=True)
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        found.bind(str(self.path))
        found.setblocking(False)
        return found

    def counted(self, name: str, label: str) -> float:
        key = "reason" if name == "dropped" else "role"
        series = f"lockstep_encoder_monitor_{name}_total"
        return self.registry.get_sample_value(series, {key: label}) or 0.0


def received(listener: socket.socket) -> list[tuple[Header, np.ndarray]]:
    found = []
    while True:
        try:
            data = listener.recv(1 << 18)
        except BlockingIOError:
            return found
        header = read_header(data)
        vectors = np.frombuffer(data, "<f4", offset=HEADER_BYTES)
        found.append((header, vectors.reshape(header.count, header.dimension)))


async def test_rows_come_as_they_were_with_their_role(folder: Path, period: float) -> None:
    tapped = Tapped(folder)
    with tapped.listen() as listener:
        tapped.tap.offer(QUERY, rows(3, 1))
        tapped.tap.offer(EMBEDDING, rows(2, 2))
        await asyncio.sleep(3 * period)
        found = {header.role: vectors for header, vectors in received(listener)}
    for role, shown in ((QUERY, rows(3, 1)), (EMBEDDING, rows(2, 2))):
        assert sorted(map(tuple, found[role])) == sorted(map(tuple, shown))
    assert tapped.counted("sampled", "Query") == 3 and tapped.counted("dropped", "Full") == 0
    tapped.tap.close()


async def test_no_more_than_the_budget_goes_and_the_rest_is_counted(
    folder: Path, period: float
) -> None:
    tapped = Tapped(folder, most=10)
    with tapped.listen() as listener:
        for seed in range(20):
            tapped.tap.offer(EMBEDDING, rows(50, seed))
        tapped.tap.offer(QUERY, rows(3, 99))
        await asyncio.sleep(3 * period)
        found = received(listener)
    assert {h.role: h.count for h, _ in found} == {QUERY: 3, EMBEDDING: 7}
    (header,) = (h for h, _ in found if h.role is EMBEDDING)
    assert (header.observed, header.sampled, header.dropped) == (1000, 7, 0)
    tapped.tap.close()


async def test_without_a_monitor_rows_are_dropped_and_counted_and_later_ones_arrive(
    folder: Path, period: float
) -> None:
    tapped = Tapped(folder)
    tapped.tap.offer(QUERY, rows(4, 1))
    await asyncio.sleep(2 * period)
    assert tapped.counted("dropped", "NoMonitor") == 4
    tapped.listen().close()  # A socket that nobody listens on any more.
    tapped.tap.offer(QUERY, rows(5, 2))
    await asyncio.sleep(2 * period)
    assert tapped.counted("dropped", "NoMonitor") == 9
    with tapped.listen() as listener:
        tapped.tap.offer(QUERY, rows(6, 3))
        await asyncio.sleep(2 * period)
        ((header, _),) = received(listener)
    assert (header.count, header.observed, header.sampled, header.dropped) == (6, 15, 15, 9)
    tapped.tap.close()


async def test_a_full_socket_drops_and_never_blocks(folder: Path, period: float) -> None:
    """Nobody reads: the kernel's queue fills, and the loop goes on within each send."""
    tapped = Tapped(folder, most=1000, dimension=4096)
    slowest, running = 0.0, True

    async def beat() -> None:
        nonlocal slowest
        loop = asyncio.get_running_loop()
        while running:
            begun = loop.time()
            await asyncio.sleep(0.001)
            slowest = max(slowest, loop.time() - begun)

    heart = asyncio.create_task(beat())
    with tapped.listen() as listener:
        for seed in range(8):
            tapped.tap.offer(QUERY, rows(200, seed, dimension=4096))
            await asyncio.sleep(period)
        await asyncio.sleep(3 * period)
        running = False
        await heart
        kept = sum(header.count for header, _ in received(listener))
    assert tapped.counted("dropped", "Full") > 0
    lost = tapped.counted("dropped", "Full")
    assert kept + lost == tapped.counted("sampled", "Query")
    assert slowest < 5, "a send that blocks would block for ever"
    tapped.tap.close()


async def test_closing_sends_what_was_chosen_and_is_done_once(folder: Path) -> None:
    tapped = Tapped(folder)
    with tapped.listen() as listener:
        tapped.tap.offer(QUERY, rows(4))
        tapped.tap.close()
        tapped.tap.close()
        tapped.tap.offer(QUERY, rows(4))
        assert [header.count for header, _ in received(listener)] == [4]


async def test_a_tap_that_fails_ends_and_serving_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(Sample, "offer", broken)
    tapped = Tapped(folder)
    for _ in range(3):
        tapped.tap.offer(QUERY, rows(2))
    assert caplog.text.count("the monitor is told no more") == 1


def test_the_sample_does_not_keep_the_batch_it_was_cut_from() -> None:
    sample = Sample(1, random.Random(0).random)
    batch = rows(100)
    sample.offer(batch)
    (row,) = sample.take()
    assert row.base is None and len(list(itertools.chain(row))) == 16
