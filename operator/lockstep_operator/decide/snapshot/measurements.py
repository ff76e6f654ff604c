"""What is measured of a candidate that takes traffic: the requests for it, and what came back.

Decisions ask (`MeasureRequest` in the plan), the runtime measures and remembers, and the next
snapshot holds the series. They live in memory alone: after a restart of the operator a series
starts anew, so that a verdict never rests on a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


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
class MeasureRequest:
    """The measurement of this number in its series (from 0), in `due_in` seconds.

    One that is not due yet keeps its series: what no plan asks for any more is forgotten.
    """

    series: SeriesKey
    number: int
    what: Scrape | Query
    due_in: float = 0.0

    @property
    def is_due(self) -> bool:
        return self.due_in <= 0


@dataclass(frozen=True)
class Tally:
    """What the pods of a release answered since the first scrape of the series.

    `codes`: requests by status code. `within`: requests that took at most so many seconds, by the
    edges that all pods have; refused requests (4xx) took no part in it. `timed`: all of those.
    """

    codes: Mapping[str, int] = field(default_factory=dict)
    within: Mapping[float, int] = field(default_factory=dict)
    timed: int = 0


@dataclass(frozen=True)
class Answer:
    """The value of each element that the query gave."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Unmeasured:
    """Why nothing was measured, in words that stay the same while the cause does."""

    message: str


@dataclass(frozen=True)
class Measurement:
    """One measurement. The first `Tally` of a series is empty: it is what others count from."""

    at: datetime
    reading: Tally | Answer | Unmeasured


Series = tuple[Measurement, ...]
