"""The reading `SCRAPE`: the counters in the metrics of a candidate's ready encoder pods."""

from __future__ import annotations

from lockstep_core.protocol import labels
from lockstep_core.protocol.environment import SERVING_PORT
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.gates.live import GateCheck, Judge, Look, measured, series_so_far
from lockstep_operator.decide.snapshot.measurements import (
    Beside,
    Measurement,
    MeasureRequest,
    Scrape,
    SeriesKey,
    Tally,
    Target,
)

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
    pods = ready_encoders(check.context, name)
    return Scrape(name, tuple(target_of(pod, SERVING_PORT, METRICS_PATH) for pod in pods))


def ready_encoders(context: ReconcileContext, release: str) -> list[Object]:
    """The ready encoder pods of a release, by name."""
    pods = context.snapshot.serving_pods(release)
    found = [pod for pod in pods if _is_encoder(pod) and _is_ready(pod)]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def target_of(pod: Object, port: int, path: str) -> Target:
    """Where a page of a ready pod is."""
    address = pod["status"]["podIP"]
    host = f"[{address}]" if ":" in address else address
    metadata = pod["metadata"]
    return Target(metadata["uid"], metadata["name"], f"http://{host}:{port}{path}")


def _is_encoder(pod: Object) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(labels.COMPONENT) == "encoder")


def _is_ready(pod: Object) -> bool:
    status = pod.get("status") or {}
    conditions = status.get("conditions") or []
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and bool(status.get("podIP"))
