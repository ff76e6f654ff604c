"""The monitor's own series. What each is stands in `lockstep_core.protocol.metrics`.

None of them is a distance: those are of the merged sketches of all pods, and the operator's.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lockstep_core.drift.sketch import Sketch
from lockstep_core.protocol import metrics as names
from lockstep_core.protocol.metrics import Metric

SECONDS_BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)


class MonitorMetrics:
    """In a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.refused = self._counter(names.MONITOR_REFUSED)
        self.embeddings = self._counter(names.MONITOR_EMBEDDINGS)
        self.duplicates = self._counter(names.MONITOR_DUPLICATES)
        self.invalid = self._counter(names.MONITOR_INVALID)
        row = names.MONITOR_UPDATE_SECONDS
        self.update_seconds = Histogram(
            row.name, row.help, buckets=SECONDS_BUCKETS, registry=self._registry
        )
        self.window_embeddings = self._gauge(names.MONITOR_WINDOW_EMBEDDINGS)
        self.open_window = self._gauge(names.MONITOR_OPEN_WINDOW)
        self.bets = self._gauge(names.MONITOR_BETS)
        self.recall_queries = self._counter(names.MONITOR_RECALL_QUERIES)
        self.recall_hits = self._counter(names.MONITOR_RECALL_HITS)
        self.recall_expected = self._counter(names.MONITOR_RECALL_EXPECTED)
        self.recall_refused = self._counter(names.MONITOR_RECALL_REFUSED)
        self.recall_dropped = self._counter(names.MONITOR_RECALL_DROPPED)
        self.info = self._gauge(names.MONITOR_INFO)

    def _counter(self, row: Metric) -> Counter:
        return Counter(row.name, row.help, row.labels, registry=self._registry)

    def _gauge(self, row: Metric) -> Gauge:
        return Gauge(row.name, row.help, row.labels, registry=self._registry)

    def closed(self, sketches: Sequence[Sketch]) -> None:
        """A window closed: its sketch of each role that had any."""
        for sketch in sketches:
            self.window_embeddings.labels(sketch.role).set(sketch.n)
            self.duplicates.labels(sketch.role).inc(sketch.counters.duplicates)
            for reason, count in sketch.counters.invalid.items():
                self.invalid.labels(sketch.role, reason.value).inc(count)

    def render(self) -> bytes:
        """Text exposition format."""
        return generate_latest(self._registry)
