"""What all live gates share: when a measurement is due, and the verdicts of the series so far."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.objects import Release
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.gates.limits import settle
from lockstep_operator.decide.snapshot.measurements import (
    Measurement,
    MeasureRequest,
    Scrape,
    Series,
    SeriesKey,
    Tally,
    Unmeasured,
    What,
)
from lockstep_operator.decide.vocabulary import clock

INTERVAL_SECONDS = 10


@dataclass(frozen=True)
class GateCheck:
    """One live gate of the analysis of this name, which began at `started_at`."""

    context: ReconcileContext
    release: Release
    gate: Gate
    analysis: str
    started_at: str

    @property
    def interval(self) -> float:
        return float(self.gate.interval_seconds or INTERVAL_SECONDS)

    @property
    def series(self) -> SeriesKey:
        wire = self.gate.model_dump_json(by_alias=True, exclude_defaults=True)
        digest = hashlib.sha256(wire.encode()).hexdigest()[:12]
        return SeriesKey(self.release.name, self.analysis, f"{self.gate.name}-{digest}")

    def until(self, since: str) -> float:
        """Seconds until an interval has passed; never more than one, however clocks are set."""
        left = self.interval - clock.seconds_since(since, self.context.snapshot.now)
        return min(self.interval, max(0.0, left))


@dataclass(frozen=True)
class Look:
    """`settled` once the gate has decided. Until then `problem` is why it cannot be measured, or
    what it waits for where that takes long."""

    settled: GateVerdict | None
    problem: str | None = None


# Takes what the reading of the gate's row gave: a `Tally`, `Beside`, an `Answer`, `Sketched`,
# `ReplayFacts`.
Judge = Callable[[Gate, Any], GateVerdict]


def series_so_far(check: GateCheck, key: SeriesKey) -> Series:
    """What was measured in a series."""
    return check.context.snapshot.observed.measurements.get(key, ())


def measured(
    check: GateCheck,
    what: What,
    judge: Judge,
    *,
    due_in: float | None = None,
    complete: Callable[[Measurement], Any] = lambda measurement: measurement.reading,
) -> Look:
    """The series so far, judged; asks for the next measurement while it is open.

    `complete` makes of a measurement what the judge takes: its reading alone, or more. `due_in` is
    when the next one is due, unless an interval after the last.
    """
    context, gate = check.context, check.gate
    series = series_so_far(check, check.series)
    verdicts = _verdicts(gate, series, lambda gate, one: judge(gate, complete(one)))
    settled = settle(gate, verdicts)
    if settled is not None:
        due_in = math.inf
    elif due_in is None:
        due_in = _due_in(check, what, series)
    context.measure.append(MeasureRequest(check.series, len(series), what, due_in))
    if settled is None:
        context.wake_in(due_in if due_in > 0 else check.interval)
    return Look(settled, problem_of(verdicts))


def problem_of(verdicts: Sequence[GateVerdict]) -> str | None:
    """Why the last two measurements failed; a single one that is lost is not reported."""
    errors = [verdict for verdict in verdicts[-2:] if verdict.verdict == Verdict.ERROR]
    return errors[-1].line if len(errors) == 2 else None


def unmeasured(gate: Gate, message: str) -> GateVerdict:
    """A measurement that could not be made."""
    return GateVerdict(name=gate.name, verdict=Verdict.ERROR, line=message)


def _verdicts(
    gate: Gate, series: Series, judge: Callable[[Gate, Measurement], GateVerdict]
) -> list[GateVerdict]:
    """Requests are counted from the first tally on, so that one is no measurement yet."""
    verdicts, counting = [], False
    for measurement in series:
        at, reading = clock.text(measurement.at), measurement.reading
        if isinstance(reading, Unmeasured):
            verdict = unmeasured(gate, reading.message)
        elif isinstance(reading, Tally) and not counting:
            counting = True
            continue
        else:
            verdict = judge(gate, measurement)
        verdicts.append(verdict.replace(observed_at=at))
    return verdicts


def _due_in(check: GateCheck, what: What, series: Series) -> float:
    """The first scrape is due at once; the first answer, when an interval of traffic is there."""
    if series:
        return check.until(clock.text(series[-1].at))
    return 0.0 if isinstance(what, Scrape) else check.until(check.started_at)
