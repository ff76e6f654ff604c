"""What does not start, and why: a pod by its status and its Events, a Job or a Deployment that gets
no pod by what its controller says.

Any container may keep a pod from starting, a sidecar too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.waits import UNSTARTED_SECONDS
from lockstep_operator.decide.jobs import obstacles
from lockstep_operator.decide.jobs.job_pods import last_change
from lockstep_operator.decide.jobs.obstacles import Mend, Obstacle
from lockstep_operator.decide.jobs.pod_status import containers_of, name_of
from lockstep_operator.decide.snapshot.observed import NO_EVENTS, SeenEvent, SeenEvents
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Reason

# Most pods that start have said so by then.
ASK_AFTER_SECONDS = 10.0
# Waiting reasons that do not pass by themselves, each with what it comes down to. A pull that
# fails alternates between two words: they are one here, or each change would be a status write.
WAITING = {
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
_PULLS = frozenset(
    {Reason.IMAGE_PULL_BACK_OFF, Reason.INVALID_IMAGE_NAME, Reason.ERR_IMAGE_NEVER_PULL}
)
# Nothing that a node does changes a name, or pulls what must not be pulled.
_NEVER_PULLED = _PULLS - {Reason.IMAGE_PULL_BACK_OFF}
_UNPLACED = ("Unschedulable", "SchedulerError")

# Events of a pod that has its node, the plainest cause first.
_OF_NODES: Mapping[str, tuple[Reason, Callable[[str], Obstacle]]] = {
    "FailedAttachVolume": (Reason.FAILED_ATTACH_VOLUME, obstacles.unmounted),
    "FailedMount": (Reason.FAILED_MOUNT, obstacles.unmounted),
    "FailedMapVolume": (Reason.FAILED_MOUNT, obstacles.unmounted),
    "FailedCreatePodSandBox": (Reason.FAILED_CREATE_POD_SANDBOX, obstacles.unnetworked),
    "NetworkNotReady": (Reason.FAILED_CREATE_POD_SANDBOX, obstacles.unnetworked),
}
# What a kubelet does once sandbox and volumes are there.
_BEYOND = frozenset({"Pulling", "Pulled", "Created", "Started"})
# The kubelet's summary of what another Event says plainly.
_SUMMARY = "Unable to attach or mount volumes"
# The scheduler and the kubelet name what is not there, between words that change.
_MISSING = re.compile(r'\b(persistentvolumeclaim|secret|configmap) "([^"]+)" (?:is )?not found')
_KINDS = {
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "secret": "Secret",
    "configmap": "ConfigMap",
}
# Events of a claim that only say that someone else comes first.
_IDLE = frozenset({"WaitForFirstConsumer", "WaitForPodScheduled"})


@dataclass(frozen=True)
class Stuck:
    """What does not start: `who` names it, `pod` where it is one.

    `since` is when its clock began. `by_event`: it is known from Events, which change without any
    news of the object.
    """

    who: str
    reason: Reason
    obstacle: Obstacle
    since: str
    pod: str | None = None
    image: str = ""
    by_event: bool = False

    @property
    def is_final(self) -> bool:
        return self.obstacle.final

    @property
    def missing(self) -> str | None:
        """`Secret store-keys`, where the pod waits for an object that is not there."""
        match = _MISSING.search(self.obstacle.words)
        return None if match is None or self.pod is None else f"{_KINDS[match[1]]} {match[2]}"

    def head(self) -> str:
        """What is wrong, without the cluster's words."""
        if self.reason in _PULLS:
            return f"{self.who} cannot pull image {self.image} ({self.reason})"
        if self.reason == Reason.FAILED_CREATE:
            return f"the cluster refuses the pod of {self.who} ({self.reason})"
        if self.reason == Reason.NO_POD:
            return f"{self.who} has no pod ({self.reason})"
        if self.missing is not None:
            return f"{self.who} cannot start: there is no {self.missing} ({self.reason})"
        if self.reason == Reason.UNSCHEDULABLE:
            return f"{self.who} fits no node (Unschedulable)"
        return f"{self.who} cannot start ({self.reason})"

    def sentence(self, after: str = "") -> str:
        """What is wrong, in the cluster's words, without those that change from look to look."""
        words = f": {self.obstacle.words}" if self.obstacle.words else ""
        return f"{self.head()}{after}{words}"

    def advice(self, template: str) -> str:
        """What mends it; `template` names the field of the pod's template."""
        missing = (self.missing or "").partition(" ")[0]
        if missing and self.reason not in _PULLS:
            is_claim = missing == "PersistentVolumeClaim"
            return (Mend.CLAIM_MISSING if is_claim else Mend.OBJECT_MISSING).advice(template)
        return self.obstacle.mend.advice(template)


def find_stuck(pods: Iterable[Object], events: SeenEvents = NO_EVENTS) -> Stuck | None:
    """The first pod, by name, that does not start."""
    each = (_stuck(pod, events) for pod in sorted(pods, key=name_of))
    return next((stuck for stuck in each if stuck is not None), None)


def refused(job: Object, its_pods: Sequence[Object], events: SeenEvents) -> Stuck | None:
    """Why a Job that lacks a pod gets none; None where no Event since its last pod says so."""
    name, changed = str(job["metadata"]["name"]), last_change(its_pods)
    said = [
        event
        for event in events.get(("Job", name), ())
        if event.reason == Reason.FAILED_CREATE and event.at >= changed
    ]
    if not said:
        return None
    obstacle = obstacles.refusal(max(said, key=lambda event: event.at).message)
    since = max(began(job), changed)
    return Stuck(f"Job {name}", Reason.FAILED_CREATE, obstacle, since, by_event=True)


def unfilled(deployment: Object) -> Stuck | None:
    """Why a Deployment gets no pod, by its own condition; None where it has none or an old one."""
    metadata, status = deployment["metadata"], deployment.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(metadata.get("generation") or 0):
        return None
    for condition in status.get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            obstacle = obstacles.refusal(condition.get("message") or "")
            since = str(condition.get("lastTransitionTime") or "")
            return Stuck(f"Deployment {metadata['name']}", Reason.FAILED_CREATE, obstacle, since)
    return None


def began(job: Object) -> str:
    """When the Job was made, or let go by its queue; empty where neither is known."""
    started = (job.get("status") or {}).get("startTime")
    return str(started or job["metadata"].get("creationTimestamp") or "")


def waits_on_node(pod: Object) -> bool:
    """Whether it has its node, and none of its containers has begun or says what it waits for."""
    states = [container.get("state") or {} for container in containers_of(pod)]
    waits = [(state.get("waiting") or {}).get("reason", "") for state in states]
    return (
        (pod.get("status") or {}).get("phase", "Pending") == "Pending"
        and bool((pod.get("spec") or {}).get("nodeName"))
        and not any("running" in state or "terminated" in state for state in states)
        and not any(reason in WAITING for reason in waits)
    )


def pulls_silently(pod: Object) -> bool:
    """Whether the kubelet says that a pull fails, and only an Event says why."""
    for container in containers_of(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") == Reason.IMAGE_PULL_BACK_OFF:
            return not obstacles.quoted(waiting.get("message") or "")
    return False


def unplaced(pod: Object) -> str | None:
    """The scheduler's sentence about a pod that no node takes."""
    status = pod.get("status") or {}
    if status.get("phase", "Pending") != "Pending":
        return None
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") in _UNPLACED:
            return str(condition.get("message") or "")
    return None


def look_again_in(since: str, now: datetime) -> float:
    """Seconds until the Events of what has not started since then are worth a look."""
    age = clock.seconds_since(since, now) if since else ASK_AFTER_SECONDS
    return ASK_AFTER_SECONDS - age if age < ASK_AFTER_SECONDS else UNSTARTED_SECONDS


def _stuck(pod: Object, events: SeenEvents) -> Stuck | None:
    name, created = name_of(pod), str(pod["metadata"].get("creationTimestamp", ""))
    said = events.get(("Pod", name), ())
    for container in containers_of(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = WAITING.get(waiting.get("reason", ""))
        if reason is not None:
            image = container.get("image") or _spec_image(pod)
            obstacle = _waits(reason, waiting.get("message") or "", said)
            return Stuck(f"pod {name}", reason, obstacle, created, name, image)
    sentence = unplaced(pod)
    if sentence is not None:
        obstacle = _with_claim(obstacles.unschedulable(sentence), events)
        by_event = any(kind == "PersistentVolumeClaim" for kind, _ in events)
        reason = Reason.UNSCHEDULABLE
        return Stuck(f"pod {name}", reason, obstacle, created, name, by_event=by_event)
    return _by_node(name, created, said) if waits_on_node(pod) else None


def _waits(reason: Reason, message: str, said: Iterable[SeenEvent]) -> Obstacle:
    """Why a container waits: by its own message, or by the Event of the pull that failed."""
    if reason not in _PULLS:
        return obstacles.unmade(message)
    if not obstacles.quoted(message):
        pulls = [e for e in said if e.reason == "Failed" and e.message.startswith("Failed to pull")]
        message = max(pulls, key=lambda event: event.at).message if pulls else message
    return obstacles.unpulled(message, final=reason in _NEVER_PULLED)


def _by_node(name: str, created: str, said: Iterable[SeenEvent]) -> Stuck | None:
    """What a node says that has not come as far as its images."""
    beyond = max((e.at for e in said if e.reason in _BEYOND), default="")
    attached = max((e.at for e in said if e.reason == "SuccessfulAttachVolume"), default="")
    open_ = [
        event
        for event in said
        if event.reason in _OF_NODES
        and event.at > beyond
        and not (event.reason == "FailedAttachVolume" and event.at <= attached)
    ]
    if not open_:
        return None
    # Several alternate, each told anew: the plainest is chosen, so that the words stand still.
    ranks = list(_OF_NODES)
    event = min(open_, key=lambda e: (_SUMMARY in e.message, ranks.index(e.reason), e.message))
    reason, read = _OF_NODES[event.reason]
    return Stuck(f"pod {name}", reason, read(event.message), created, name, by_event=True)


def _with_claim(obstacle: Obstacle, events: SeenEvents) -> Obstacle:
    """What is said about the claim that a pod waits for, beside what the scheduler says."""
    if obstacle.mend is not Mend.CLAIM:
        return obstacle
    for (kind, name), said in sorted(events.items()):
        told = [event for event in said if event.reason not in _IDLE]
        if kind == "PersistentVolumeClaim" and told:
            newest = max(told, key=lambda event: event.at).message
            words = f"{obstacle.words}; claim {name}: {newest}"
            return Obstacle(obstacles.quoted(words), obstacle.mend)
    return obstacle


def _spec_image(pod: Object) -> str:
    containers = (pod.get("spec") or {}).get("containers") or [{}]
    return str(containers[0].get("image", ""))
