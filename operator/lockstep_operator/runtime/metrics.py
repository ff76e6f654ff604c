"""What the operator says about itself. Names and help texts pass `promtool check metrics`."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

# A second series for each counter, with the time of its birth: nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

RECONCILES = Counter(
    "lockstep_reconcile_total",
    "Reconciles of a model's aggregate: changed, unchanged, refused, retried or crashed.",
    ["result"],
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "lockstep_reconcile_seconds",
    "Seconds of one reconcile: gather, decide and apply.",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge(
    "lockstep_queue_depth", "Keys that wait for a worker, by lane.", ["lane"], registry=REGISTRY
)
QUEUE_WAIT_SECONDS = Histogram(
    "lockstep_queue_wait_seconds",
    "Seconds between the first add of a key and the start of its reconcile, by lane.",
    ["lane"],
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 5, 30, 120),
    registry=REGISTRY,
)
API_CALLS = Counter(
    "lockstep_api_calls_total",
    "Calls to the API server by verb, resource and HTTP code (0: no answer came).",
    ["verb", "resource", "code"],
    registry=REGISTRY,
)
LOOP_LAG_SECONDS = Histogram(
    "lockstep_loop_lag_seconds",
    "Seconds by which the main event loop woke later than asked.",
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
LEADER = Gauge("lockstep_leader", "1 while this process holds the Lease.", registry=REGISTRY)
STAGE_TRANSITIONS = Counter(
    "lockstep_release_stage_transitions_total",
    "Stages that releases entered.",
    ["stage"],
    registry=REGISTRY,
)
MEASUREMENTS = Counter(
    "lockstep_measurements_total",
    "Measurements of live gates that ended, by kind (Scrape, Query) and result.",
    ["kind", "result"],
    registry=REGISTRY,
)
RESYNC_REPAIRS = Counter(
    "lockstep_resync_repairs_total",
    "Changes that a resync found and no watch had told of.",
    ["kind"],
    registry=REGISTRY,
)
EVENTS_DROPPED = Counter(
    "lockstep_events_dropped_total",
    "Kubernetes Events that were not posted: duplicate, throttled or failed.",
    ["why"],
    registry=REGISTRY,
)


class WatchAges(Collector):
    """Seconds since the last event of each kind; an age is made when it is asked for."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def touch(self, kind: str) -> None:
        self._seen[kind] = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "lockstep_watch_last_event_age_seconds",
            "Seconds since the last watch event of a kind.",
            labels=["kind"],
        )
        now = time.monotonic()
        for kind, seen in list(self._seen.items()):
            family.add_metric([kind], now - seen)
        yield family


WATCH_AGES = WatchAges()
REGISTRY.register(WATCH_AGES)
