"""The pods of a release that can be asked something, and where."""

from __future__ import annotations

from lockstep_core.protocol import labels
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.snapshot.measurements import Target
from lockstep_operator.decide.snapshot.snapshot import Snapshot


def is_ready(pod: Object) -> bool:
    """Whether its condition `Ready` is true."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def ready_encoders(snapshot: Snapshot, release: str) -> list[Object]:
    """The ready encoder pods of a release, by name."""
    pods = snapshot.serving_pods(release)
    found = [pod for pod in pods if _is_encoder(pod) and is_ready(pod) and _address(pod)]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def target_of(pod: Object, port: int, path: str = "") -> Target:
    """Where a page of a ready pod is."""
    address = _address(pod)
    host = f"[{address}]" if ":" in address else address
    metadata = pod["metadata"]
    return Target(metadata["uid"], metadata["name"], f"http://{host}:{port}{path}")


def _address(pod: Object) -> str:
    return str((pod.get("status") or {}).get("podIP") or "")


def _is_encoder(pod: Object) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(labels.COMPONENT) == "encoder")
