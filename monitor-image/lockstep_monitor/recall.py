"""Index recall of live queries: one of them now and then is searched for exactly too.

A thread of its own asks, one question at a time. Whoever reads the socket leaves a row in a slot
and goes on; a row that comes before the last one was asked takes its place by chance, so that each
query of that time is as likely as any other.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lockstep_core.protocol.monitoring import RecallConfig, RecallIndex
from lockstep_core.quality.live_recall import hits_of
from lockstep_monitor.metrics import MonitorMetrics
from lockstep_monitor.recall_client import Found, Refused, neighbours
from lockstep_monitor.recall_counts import RecallCounts
from lockstep_monitor.recall_pace import Pace

logger = logging.getLogger(__name__)

Ask = Callable[..., list[Found]]
_LEAVE_ALONE = ("Overloaded", "Unavailable", "Pairing")


class _Slot:
    """The row that is asked next, uniform over those offered since the last one was taken."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self._row: NDArray[np.float32] | None = None
        self._offered = 0

    def offer(self, rows: NDArray[np.float32]) -> None:
        with self._lock:
            self._offered += len(rows)
            at = int(self._chance() * self._offered)
            if at < len(rows):
                self._row = rows[at].copy()

    def take(self) -> NDArray[np.float32] | None:
        with self._lock:
            row, self._row, self._offered = self._row, None, 0
            return row


class Recall:
    """`offer` from any thread; `run` on one of its own."""

    def __init__(
        self,
        config: RecallConfig,
        counts: RecallCounts,
        metrics: MonitorMetrics,
        *,
        ask: Ask = neighbours,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.config = config
        self.counts = counts
        # Why an index gave nothing to count when it was asked last, by its name.
        self.problems: dict[str, str] = {}
        self._metrics = metrics
        self._ask = ask
        self._clock = clock
        self._chance = chance
        self._slot = _Slot(chance)
        self._paces = {index.name: Pace() for index in config.indexes}
        self._turn = 0
        self._stopping = threading.Event()

    @property
    def is_on(self) -> bool:
        return bool(self.config.per_minute and self.config.indexes)

    def offer(self, rows: NDArray[np.float32]) -> None:
        """Considers embeddings [count, dimension] of searches. Never waits for an index."""
        if self.is_on and len(rows):
            self._slot.offer(rows)

    def start(self) -> None:
        if self.is_on:
            threading.Thread(target=self.run, name="recall", daemon=True).start()

    def stop(self) -> None:
        """No question begins after this; one that is under way ends with the process."""
        self._stopping.set()

    def run(self) -> None:
        period = 60.0 / self.config.per_minute
        # Pods that began together do not ask together.
        while not self._stopping.wait(period * (0.5 + self._chance())):
            try:
                self.step()
            except Exception:
                logger.exception("recall goes on")

    def step(self) -> None:
        """Asks the next index in turn about the row that waits, if there is one and it may."""
        row = self._slot.take()
        if row is None:
            return
        query = row.tobytes()
        if not np.isfinite(row).all():
            self._drop("Invalid")
            return
        index = self._next()
        if index is None:
            return
        if not self.counts.is_new(index, query):
            self._drop("Repeated")
            return
        try:
            hits, expected = self._measure(index, row)
        except Refused as error:
            self._refused(index, error)
            return
        self._paces[index.name].answered()
        self.problems.pop(index.name, None)
        if expected:
            self.counts.add(index, query, hits, expected)
            labels = (index.name, str(self.config.k))
            self._metrics.recall_queries.labels(*labels).inc()
            self._metrics.recall_hits.labels(*labels).inc(hits)
            self._metrics.recall_expected.labels(*labels).inc(expected)

    def _next(self) -> RecallIndex | None:
        """The first in turn that may be asked now."""
        indexes, now, why = self.config.indexes, self._clock(), ""
        for step in range(len(indexes)):
            at = (self._turn + step) % len(indexes)
            refusal = self._paces[indexes[at].name].why_not(now)
            if refusal is None:
                self._turn = at + 1
                return indexes[at]
            why = why or refusal
        self._drop(why)
        return None

    def _measure(self, index: RecallIndex, row: NDArray[np.float32]) -> tuple[int, int]:
        found = self._ask(index, row, self.config.k, exact=False)
        begun = self._clock()
        try:
            exact = self._ask(index, row, self.config.k, exact=True)
        finally:
            ended = self._clock()
            self._paces[index.name].spent(ended, ended - begun)
        return hits_of(found, exact)

    def _refused(self, index: RecallIndex, error: Refused) -> None:
        self._metrics.recall_refused.labels(index.name, error.reason).inc()
        if error.reason in _LEAVE_ALONE:
            self._paces[index.name].refused(self._clock())
        if self.problems.get(index.name) != str(error):
            logger.warning("recall is not measured: %s", error)
        self.problems[index.name] = str(error)

    def _drop(self, reason: str) -> None:
        self._metrics.recall_dropped.labels(reason).inc()
