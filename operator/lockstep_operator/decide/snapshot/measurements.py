"""What is measured of a candidate that takes traffic: the requests for it, and what came back.

Decisions ask (`MeasureRequest` in the plan), the runtime measures and remembers, and the next
snapshot holds the series. They live in memory alone: after a restart of the operator a series
starts anew, so that a verdict never rests on a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lockstep_core.protocol.drift import Embedded
from lockstep_core.protocol.metrics import Metric
from lockstep_core.protocol.monitoring import TrafficRole


@dataclass(frozen=True)
class SeriesKey:
    """One gate, in one analysis, of one release. `gate` carries a hash of the gate: with other
    bounds it starts anew."""

    release: str
    analysis: str
    gate: str


@dataclass(frozen=True)
class Target:
    """One encoder pod, and where its metrics are."""

    uid: str
    pod: str
    url: str


@dataclass(frozen=True)
class Scrape:
    """Reads the request counters of each of these pods, all of which must be `release`."""

    release: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Query:
    """Asks a Prometheus server for one number."""

    url: str
    promql: str


@dataclass(frozen=True)
class Monitored:
    """The monitors of one release. `space` is its own: one of another space is refused."""

    release: str
    space: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Sketch:
    """Asks monitors for the closed windows from `first` to `last`, numbered as
    `protocol.monitoring` says, and adds up what each release embedded in them.

    `stable` answers the same traffic. Where it is None, `alone` says why.
    """

    role: TrafficRole
    window_seconds: int
    first: int
    last: int
    own: Monitored
    stable: Monitored | None = None
    alone: str = ""


What = Scrape | Query | Sketch


@dataclass(frozen=True)
class MeasureRequest:
    """The measurement of this number in its series (from 0), in `due_in` seconds.

    One that is not due yet keeps its series: what no plan asks for any more is forgotten.
    """

    series: SeriesKey
    number: int
    what: What
    due_in: float = 0.0

    @property
    def is_due(self) -> bool:
        return self.due_in <= 0


# The values of a metric's labels, in its order.
Labels = tuple[str, ...]


@dataclass(frozen=True)
class Count:
    """One counter or histogram.

    `events` by labels: of a histogram its observations. `within`, of a histogram alone: those that
    were at most so much, whatever their labels.
    """

    events: Mapping[Labels, int] = field(default_factory=dict)
    within: Mapping[float, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """What counters and histograms counted, by the name of the metric and its labels' values.

    Of the pods of a release it is what they counted since the first scrape of the series. A metric
    that no pod has is empty here.
    """

    counts: Mapping[str, Count] = field(default_factory=dict)

    def total(self, metric: Metric) -> int:
        """Events of a counter, or observations of a histogram, whatever their labels."""
        return sum(self.count(metric).events.values())

    def by(self, metric: Metric, label: str) -> dict[str, int]:
        """The same by the value of one label."""
        at, by = metric.labels.index(label), dict[str, int]()
        for labels, events in self.count(metric).events.items():
            by[labels[at]] = by.get(labels[at], 0) + events
        return by

    def within(self, metric: Metric) -> Mapping[float, int]:
        """Observations of a histogram that were at most so much, by edges that all pods have."""
        return self.count(metric).within

    def count(self, metric: Metric) -> Count:
        return self.counts.get(metric.name, Count())


@dataclass(frozen=True)
class Beside:
    """What a release answered, and what the one that it would replace answered of the same traffic.

    `stable` is None where there is none, or where nothing was measured of it yet.
    """

    own: Tally
    stable: Tally | None = None


@dataclass(frozen=True)
class Answer:
    """The value of each element that the query gave."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Sketched:
    """What a candidate and stable embedded in the same closed windows, each beside the held-out
    items of its own training. `stable` is None where nothing is known of it, as `alone` says."""

    own: Embedded
    windows: int
    seconds: int
    stable: Embedded | None = None
    alone: str = ""


@dataclass(frozen=True)
class Unwatchable:
    """Why nothing is measured and nothing will be: asking again does not change it."""

    message: str


@dataclass(frozen=True)
class Unmeasured:
    """Why nothing was measured, in words that stay the same while the cause does."""

    message: str


Reading = Tally | Answer | Sketched | Unwatchable | Unmeasured


@dataclass(frozen=True)
class Measurement:
    """One measurement. The first `Tally` of a series is empty: it is what others count from."""

    at: datetime
    reading: Reading


Series = tuple[Measurement, ...]
