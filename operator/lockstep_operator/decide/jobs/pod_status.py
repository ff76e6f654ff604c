"""What a pod's status shows of how its program ended: a sidecar never stands for the program."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from lockstep_core.protocol.result import Result
from lockstep_operator.api.objects import Object
from lockstep_operator.manifests.programs import CHECK, CONTAINER


@dataclass(frozen=True)
class Ended:
    """How the program of a pod ended. `result` is None when it left none that can be read."""

    pod: str
    exit_code: int
    result: Result | None
    text: str
    out_of_memory: bool


def ended(pod: Object) -> Ended | None:
    """How the program ended, or the check before it where that failed; None while it runs."""
    for container in containers_of(pod):
        terminated = (container.get("state") or {}).get("terminated")
        if terminated is None:
            continue
        name = _name(container)
        if name == CONTAINER or (name == CHECK and terminated.get("exitCode")):
            return _ended(pod, terminated)
    return None


def crashed(pod: Object) -> Ended | None:
    """How the program of a serving pod ended last, also when the kubelet has started it again."""
    for container in containers_of(pod):
        if _name(container) != CONTAINER:
            continue
        if "running" in (container.get("state") or {}) and container.get("ready"):
            return None
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            if state.get("terminated") is not None:
                return _ended(pod, state["terminated"])
    return None


def is_disrupted(pod: Object) -> bool:
    """Preempted, drained, evicted by the API or by a taint, or on a node that is gone."""
    status = pod.get("status") or {}
    return any(
        condition.get("type") == "DisruptionTarget" and condition.get("status") == "True"
        for condition in status.get("conditions") or []
    )


def is_evicted(pod: Object) -> bool:
    """The kubelet gave the pod up without an exit code (`status.reason`, such as Evicted)."""
    status = pod.get("status") or {}
    return status.get("phase") == "Failed" and ended(pod) is None


def _ended(pod: Object, terminated: Object) -> Ended:
    text = str(terminated.get("message") or "").strip()
    try:
        result = Result.from_json(text)
    except ValidationError:
        result = None
    return Ended(
        pod=name_of(pod),
        exit_code=int(terminated.get("exitCode", 0)),
        result=result,
        text=text,
        out_of_memory=terminated.get("reason") == "OOMKilled",
    )


def name_of(pod: Object) -> str:
    return str(pod["metadata"]["name"])


def containers_of(pod: Object) -> list[Object]:
    """The statuses of its containers, those that come first in front."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _name(container: Object) -> str:
    return str(container.get("name", CONTAINER))
