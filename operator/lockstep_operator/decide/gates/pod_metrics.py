"""The reading `SCRAPE`: the counters in the metrics of a candidate's ready encoder pods."""

from __future__ import annotations

from lockstep_core.protocol import labels
from lockstep_core.protocol.environment import SERVING_PORT
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.gates.live import GateCheck, Judge, Look, measured
from lockstep_operator.decide.snapshot.measurements import Scrape, Target

METRICS_PATH = "/metrics"


def scraped(check: GateCheck, judge: Judge) -> Look:
    """What the pods counted since the analysis began, judged as a `Tally`."""
    return measured(check, _scrape(check), judge)


def _scrape(check: GateCheck) -> Scrape:
    """All ready encoder pods of the candidate; a pod that is not ready answers nobody."""
    name = check.release.name
    pods = check.context.snapshot.serving_pods(name)
    targets = [_target(pod) for pod in pods if _is_encoder(pod) and _is_ready(pod)]
    return Scrape(name, tuple(sorted(targets, key=lambda target: target.pod)))


def _target(pod: Object) -> Target:
    address = pod["status"]["podIP"]
    host = f"[{address}]" if ":" in address else address
    metadata = pod["metadata"]
    url = f"http://{host}:{SERVING_PORT}{METRICS_PATH}"
    return Target(metadata["uid"], metadata["name"], url)


def _is_encoder(pod: Object) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(labels.COMPONENT) == "encoder")


def _is_ready(pod: Object) -> bool:
    status = pod.get("status") or {}
    conditions = status.get("conditions") or []
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and bool(status.get("podIP"))
