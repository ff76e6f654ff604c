"""What a pod's status shows: why it does not start, and how its program ended.

Any container may keep a pod from starting, but only that of its program shows how it ended: a
sidecar never stands for the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from lockstep_core.protocol.result import Result
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests.programs import CHECK, CONTAINER

# Waiting reasons that do not pass by themselves, each with what it comes down to. A pull that
# fails alternates between two words: they are one here, or each change would be a status write.
STUCK = {
    "ErrImagePull": Reason.IMAGE_PULL_BACK_OFF,
    **{
        str(reason): reason
        for reason in (
            Reason.IMAGE_PULL_BACK_OFF,
            Reason.INVALID_IMAGE_NAME,
            Reason.ERR_IMAGE_NEVER_PULL,
            Reason.CREATE_CONTAINER_CONFIG_ERROR,
            Reason.CREATE_CONTAINER_ERROR,
            Reason.RUN_CONTAINER_ERROR,
        )
    },
}
# The scheduler and the kubelet name what is not there, between words that change.
_MISSING = re.compile(r'\b(persistentvolumeclaim|secret|configmap) "([^"]+)" (?:is )?not found')
_KINDS = {
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "secret": "Secret",
    "configmap": "ConfigMap",
}
IMAGE_REASONS = frozenset(
    {Reason.IMAGE_PULL_BACK_OFF, Reason.INVALID_IMAGE_NAME, Reason.ERR_IMAGE_NEVER_PULL}
)


@dataclass(frozen=True)
class Stuck:
    """A pod that does not start. `detail` is the kubelet's or the scheduler's own sentence."""

    pod: str
    reason: Reason
    detail: str
    image: str
    since: str

    @property
    def missing(self) -> str | None:
        """`Secret store-keys`, where the pod waits for an object that is not there."""
        match = _MISSING.search(self.detail)
        return None if match is None else f"{_KINDS[match[1]]} {match[2]}"

    def sentence(self) -> str:
        """What is wrong, without words that change from one look to the next."""
        if self.reason in IMAGE_REASONS:
            return f"pod {self.pod} cannot pull image {self.image} ({self.reason})"
        if self.missing is not None:
            return f"pod {self.pod} cannot start: there is no {self.missing} ({self.reason})"
        if self.reason == Reason.UNSCHEDULABLE:
            return f"pod {self.pod} fits no node (Unschedulable)"
        return f"pod {self.pod} cannot start ({self.reason})"


@dataclass(frozen=True)
class Ended:
    """How the program of a pod ended. `result` is None when it left none that can be read."""

    pod: str
    exit_code: int
    result: Result | None
    text: str
    out_of_memory: bool


def find_stuck(pods: Iterable[Object]) -> Stuck | None:
    """The first pod, by name, that does not start."""
    each = (_stuck(pod) for pod in sorted(pods, key=name_of))
    return next((stuck for stuck in each if stuck is not None), None)


def _stuck(pod: Object) -> Stuck | None:
    status = pod.get("status") or {}
    created = pod["metadata"].get("creationTimestamp", "")
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = STUCK.get(waiting.get("reason", ""))
        if reason is not None:
            image = container.get("image") or _spec_image(pod)
            return Stuck(name_of(pod), reason, waiting.get("message", ""), image, created)
    if status.get("phase", "Pending") != "Pending":
        return None
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            detail = condition.get("message", "")
            return Stuck(name_of(pod), Reason.UNSCHEDULABLE, detail, _spec_image(pod), created)
    return None


def ended(pod: Object) -> Ended | None:
    """How the program ended, or the check before it where that failed; None while it runs."""
    for container in _containers(pod):
        terminated = (container.get("state") or {}).get("terminated")
        if terminated is None:
            continue
        name = _name(container)
        if name == CONTAINER or (name == CHECK and terminated.get("exitCode")):
            return _ended(pod, terminated)
    return None


def crashed(pod: Object) -> Ended | None:
    """How the program of a serving pod ended last, also when the kubelet has started it again."""
    for container in _containers(pod):
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


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _name(container: Object) -> str:
    return str(container.get("name", CONTAINER))


def _spec_image(pod: Object) -> str:
    containers = (pod.get("spec") or {}).get("containers") or [{}]
    return str(containers[0].get("image", ""))
