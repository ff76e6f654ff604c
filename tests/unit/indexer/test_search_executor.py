"""Where searches run, and what is refused when too many wait."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import faiss
import numpy as np
import pytest

from lockstep_core.serving.errors import RequestError
from lockstep_indexer.opened_build import Hit, OpenedBuild
from lockstep_indexer.search_executor import QUEUE_SECONDS, Cost, SearchExecutor

pytestmark = pytest.mark.unit

CHEAP = Cost(approximate=1e-5, exact=1e-5)
QUERIES = np.zeros((4, 2), dtype=np.float32)


class Gate:
    """A build whose searches last until the gate opens."""

    def __init__(self, *, opened: bool = False) -> None:
        self.gate = threading.Event()
        self.threads: list[str] = []
        self.faiss_threads: list[int] = []
        if opened:
            self.gate.set()

    def search(self, queries: np.ndarray, k: int, *, exact: bool = False) -> tuple[str, str]:
        self.threads.append(threading.current_thread().name)
        self.faiss_threads.append(faiss.omp_get_max_threads())
        assert self.gate.wait(20)
        return "rows", "distances"

    def hits(self, rows: str, distances: str) -> list[list[Hit]]:
        return []


def executor_of(gate: Gate, cost: Cost, clock: float = 0.0) -> SearchExecutor:
    build = cast(OpenedBuild, gate)
    return SearchExecutor(build, cost, render=lambda _: b"done", threads=2, clock=lambda: clock)


async def ask(
    executor: SearchExecutor, queries: np.ndarray = QUERIES, exact: bool = False
) -> bytes:
    return await executor.search(queries, 10, exact=exact, deadline=None)


async def test_a_cheap_search_stays_on_the_event_loop() -> None:
    gate = Gate(opened=True)
    assert await ask(executor_of(gate, CHEAP)) == b"done"
    assert gate.threads == [threading.current_thread().name]


async def test_an_expensive_search_leaves_the_loop_free_and_faiss_one_thread() -> None:
    gate = Gate()
    faiss.omp_set_num_threads(2)
    executor = executor_of(gate, Cost(approximate=0.01, exact=0.01))
    waiting = asyncio.create_task(ask(executor))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    gate.gate.set()
    assert await waiting == b"done"
    assert gate.threads[0].startswith("search") and gate.faiss_threads == [1]


@pytest.mark.parametrize("k", [10, 1000])
async def test_many_hits_are_named_off_the_loop(k: int) -> None:
    gate = Gate(opened=True)
    executor = executor_of(gate, CHEAP)
    await executor.search(QUERIES, k, exact=False, deadline=None)
    assert gate.threads[0].startswith("search") is (k == 1000)


async def test_more_than_can_wait_is_429_and_exact_has_a_queue_of_its_own() -> None:
    gate = Gate()
    cost = Cost(approximate=0.005, exact=0.005)
    room = int(2 * QUEUE_SECONDS / cost.approximate)
    executor = executor_of(gate, cost)
    request = np.zeros((200, 2), dtype=np.float32)
    tasks = [asyncio.create_task(ask(executor, request)) for _ in range(room // 200)]
    await asyncio.sleep(0.05)
    with pytest.raises(RequestError) as raised:
        await ask(executor)
    assert raised.value.status == 429 and raised.value.headers["retry-after"] == "1"
    tasks.append(asyncio.create_task(ask(executor, exact=True)))
    gate.gate.set()
    assert await asyncio.gather(*tasks) == [b"done"] * len(tasks)
    assert any(name.startswith("exact") for name in gate.threads)
    assert await ask(executor) == b"done"


async def test_a_search_nobody_waits_for_is_not_begun() -> None:
    gate = Gate(opened=True)
    executor = executor_of(gate, CHEAP, clock=7.0)
    with pytest.raises(RequestError) as raised:
        await executor.search(QUERIES, 10, exact=False, deadline=7.0)
    assert raised.value.status == 504 and gate.threads == []
