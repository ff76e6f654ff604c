"""Where a search runs: on the event loop when it is cheap, else in a thread; how much may wait.

A hop to a thread costs about 0.1 ms and a search that holds the loop delays every other request,
so what a search costs here is measured when the index is opened, not guessed. FAISS and numpy
release the interpreter's lock. FAISS's own thread count is kept for each calling thread, so every
thread that searches here sets it to one for itself: the pool is the parallelism.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from lockstep_core.protocol.http import MAX_QUERIES
from lockstep_core.serving.admission import Admission, expired
from lockstep_indexer.engines import use_one_thread
from lockstep_indexer.opened_build import Hit, OpenedBuild
from lockstep_indexer.vectors import Vectors, restore

Clock = Callable[[], float]
Render = Callable[[list[list[Hit]]], bytes]

INLINE_SECONDS = 1e-3
# Work that may wait for one thread. Longer queues answer nobody in time; 429 sends the client on.
QUEUE_SECONDS = 2.0
WARM_UP_QUERIES = 16
WARM_UP_K = 10
# Reading two strings and writing them as JSON; tens of microseconds for 10 hits.
SECONDS_PER_HIT = 3e-6


@dataclass(frozen=True)
class Cost:
    """Measured seconds of one query, k=10: through the index, and exactly."""

    approximate: float
    exact: float

    def seconds(self, queries: int, k: int, exact: bool) -> float:
        """What a search is expected to take, from the first vector to the answer's JSON."""
        return queries * ((self.exact if exact else self.approximate) + k * SECONDS_PER_HIT)


def measure_cost(build: OpenedBuild, clock: Clock = time.perf_counter) -> Cost:
    """Median seconds of a query. It also warms up what a first search would have to fetch."""
    step = max(1, len(build.vectors) // WARM_UP_QUERIES)
    queries = restore(build.vectors[::step][:WARM_UP_QUERIES])

    def median(exact: bool, count: int) -> float:
        seconds = []
        for position in range(count):
            begun = clock()
            build.search(queries[position : position + 1], WARM_UP_K, exact=exact)
            seconds.append(clock() - begun)
        return float(np.median(seconds))

    return Cost(median(False, len(queries)), median(True, min(4, len(queries))))


class _Lane:
    """One kind of search: its own threads, and a bound on the queries that wait for them."""

    def __init__(self, threads: int, seconds_per_query: float, name: str) -> None:
        self.pool = ThreadPoolExecutor(threads, name, initializer=use_one_thread)
        waiting = math.floor(threads * QUEUE_SECONDS / max(seconds_per_query, 1e-6))
        # Room for one whole request at the least, or a slow index could answer none.
        self.admission = Admission(max(waiting, MAX_QUERIES))


class SearchExecutor:
    """Runs the searches of one build. Exact searches wait in a lane of their own with one thread,
    so that somebody who checks recall does not hold up those who search."""

    def __init__(
        self,
        build: OpenedBuild,
        cost: Cost,
        *,
        render: Render,
        threads: int,
        observe: Callable[[float], None] = lambda _: None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.build = build
        self.cost = cost
        self.render = render
        self.observe = observe
        self.clock = clock
        use_one_thread()
        self._lanes = {
            False: _Lane(threads, cost.approximate, "search"),
            True: _Lane(1, cost.exact, "exact"),
        }

    async def search(
        self, queries: Vectors, k: int, *, exact: bool, deadline: float | None
    ) -> bytes:
        """The rendered hits of each query.

        Raises `RequestError`: 429 when there is no room, 504 when `deadline` (on this executor's
        clock) passed while the search waited.
        """
        if self.cost.seconds(len(queries), k, exact) <= INLINE_SECONDS:
            return self._run(queries, k, exact, deadline)
        lane = self._lanes[exact]
        with lane.admission.admit(len(queries)):
            return await asyncio.get_running_loop().run_in_executor(
                lane.pool, self._run, queries, k, exact, deadline
            )

    def _run(self, queries: Vectors, k: int, exact: bool, deadline: float | None) -> bytes:
        begun = self.clock()
        if deadline is not None and begun >= deadline:
            raise expired()
        rows, distances = self.build.search(queries, k, exact=exact)
        self.observe(self.clock() - begun)
        # Here and not on the event loop: a full request has 256,000 hits to name.
        return self.render(self.build.hits(rows, distances))

    def close(self) -> None:
        """Ends the threads after what they are doing; what waits is not begun."""
        for lane in self._lanes.values():
            lane.pool.shutdown(wait=True, cancel_futures=True)
