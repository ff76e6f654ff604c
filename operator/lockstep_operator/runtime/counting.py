"""Counters of encoder pods, from their Prometheus text to what happened since. Pure.

Every counter and histogram in the encoder's table of metrics is counted, whatever it counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client.parser import text_string_to_metric_families

from lockstep_core.protocol.metrics import ENCODER, ENCODER_INFO, MetricKind
from lockstep_operator.decide.snapshot.measurements import Count, Labels, Tally

K = TypeVar("K", Labels, float)
# What users ask; `/v1/models` answers from memory and says nothing of the release.
APIS = frozenset({"embeddings", "search"})
# Samples that count events, and those that count them by edge, to the metric that they are of.
_EVENTS = {
    f"{metric.name}_count" if metric.kind is MetricKind.HISTOGRAM else metric.name: metric
    for metric in ENCODER
    if metric.kind is not MetricKind.GAUGE
}
_BUCKETS = {
    f"{metric.name}_bucket": metric for metric in ENCODER if metric.kind is MetricKind.HISTOGRAM
}


@dataclass(frozen=True)
class Counters:
    """One pod since its process began."""

    release: str | None = None
    tally: Tally = field(default_factory=Tally)


def parse(text: str) -> Counters:
    """The counters in a pod's `/metrics`. Raises ValueError for text that is not of that format."""
    release, events, within = None, dict[str, Counter[Labels]](), dict[str, Counter[float]]()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == ENCODER_INFO.name:
                release = labels.get("release")
            elif "api" in labels and labels["api"] not in APIS:
                continue
            elif (metric := _EVENTS.get(sample.name)) is not None:
                key = tuple(labels.get(label, "") for label in metric.labels)
                events.setdefault(metric.name, Counter())[key] += int(sample.value)
            elif (metric := _BUCKETS.get(sample.name)) is not None and labels["le"] != "+Inf":
                within.setdefault(metric.name, Counter())[float(labels["le"])] += int(sample.value)
    counts = {name: Count(dict(n), dict(within.get(name, {}))) for name, n in events.items()}
    return Counters(release, Tally(counts))


class Counting:
    """What pods answered since the first scrape, over restarts and pods that come and go.

    A pod of the first scrape counts from there; one that comes later from zero, as it took no
    request before; one whose counters went back was started again, and counts from zero too.
    What a pod answered between its last scrape and its end is not seen.
    """

    def __init__(self) -> None:
        self._last: dict[str, Counters] | None = None
        self._events: dict[str, Counter[Labels]] = {}
        self._within: dict[str, dict[float, int]] = {}

    def add(self, pods: Mapping[str, Counters]) -> Tally:
        """The tally with this scrape, by pod uid."""
        before = self._last
        for uid, now in pods.items():
            known = now if before is None else before.get(uid, Counters())
            since = Tally() if _went_back(known.tally, now.tally) else known.tally
            for name, count in now.tally.counts.items():
                self._add(name, count, since.counts.get(name, Count()))
        # Pods that are gone are forgotten; what they answered is counted.
        self._last = dict(pods)
        return Tally(
            {
                name: Count(dict(events), dict(self._within.get(name, {})))
                for name, events in self._events.items()
            }
        )

    def _add(self, name: str, now: Count, since: Count) -> None:
        self._events.setdefault(name, Counter()).update(_differences(now.events, since.events))
        if not now.within:
            return
        within = _differences(now.within, since.within)
        if (known := self._within.get(name)) is not None:
            # Two builds of the encoder may count at other edges: the common ones hold for both.
            within = {edge: n + within[edge] for edge, n in known.items() if edge in within}
        self._within[name] = within


def _differences(now: Mapping[K, int], since: Mapping[K, int]) -> dict[K, int]:
    return {key: value - since.get(key, 0) for key, value in now.items()}


def _went_back(since: Tally, now: Tally) -> bool:
    return any(
        now.counts.get(name, Count()).events.get(labels, 0) < events
        for name, count in since.counts.items()
        for labels, events in count.events.items()
    )
