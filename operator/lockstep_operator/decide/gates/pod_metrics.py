"""The reading `SCRAPE`: the counters in the metrics of a candidate's ready encoder pods."""

from __future__ import annotations

from lockstep_core.protocol.environment import SERVING_PORT
from lockstep_operator.decide.gates.live import GateCheck, Judge, Look, measured, series_so_far
from lockstep_operator.decide.snapshot.measurements import (
    Beside,
    Measurement,
    MeasureRequest,
    Scrape,
    SeriesKey,
    Tally,
)
from lockstep_operator.decide.snapshot.targets import ready_encoders, target_of

METRICS_PATH = "/metrics"


def scraped(check: GateCheck, judge: Judge) -> Look:
    """What the pods counted since the first scrape, as a `Tally`."""
    return measured(check, _scrape(check), judge)


def scraped_beside(check: GateCheck, judge: Judge) -> Look:
    """The same, judged as `Beside`: with what the pods of stable counted meanwhile."""
    stable = check.context.stable
    if stable is None or stable.name == check.release.name:
        return measured(check, _scrape(check), judge, complete=lambda one: Beside(_own(one)))
    key = SeriesKey(stable.name, check.series.analysis, f"stable-beside-{check.series.gate}")
    others = series_so_far(check, key)

    def complete(one: Measurement) -> Beside:
        before = [other.reading for other in others if other.at <= one.at]
        # The first tally is what the others count from.
        tallies = [reading for reading in before if isinstance(reading, Tally)][1:]
        return Beside(_own(one), tallies[-1] if tallies else None)

    look = measured(check, _scrape(check), judge, complete=complete)
    due_in = check.context.measure[-1].due_in
    what = _scrape(check, stable.name)
    check.context.measure.append(MeasureRequest(key, len(others), what, due_in))
    return look


def _own(measurement: Measurement) -> Tally:
    """The tally of a scrape."""
    assert isinstance(measurement.reading, Tally)
    return measurement.reading


def _scrape(check: GateCheck, release: str | None = None) -> Scrape:
    """All ready encoder pods of the candidate; a pod that is not ready answers nobody."""
    name = release or check.release.name
    pods = ready_encoders(check.context.snapshot, name)
    return Scrape(name, tuple(target_of(pod, SERVING_PORT, METRICS_PATH) for pod in pods))
