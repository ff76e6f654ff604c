"""Of what the Events are read: what has not started for some seconds, and does not itself say why.

Nothing is read for what runs, for what a queue holds, or for what says in its own status what it
waits for. So a model that is settled costs no call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from lockstep_core.protocol import labels
from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.jobs import obstacles
from lockstep_operator.decide.jobs.job_pods import by_age, is_suspended, lacks_pods, newest_of_each
from lockstep_operator.decide.jobs.job_status import is_over
from lockstep_operator.decide.jobs.obstacles import Mend
from lockstep_operator.decide.jobs.stuck import (
    ASK_AFTER_SECONDS,
    began,
    pulls_silently,
    unplaced,
    waits_on_node,
)
from lockstep_operator.decide.snapshot.observed import Observed
from lockstep_operator.decide.snapshot.snapshot import is_owned
from lockstep_operator.decide.vocabulary import clock

_SERVERS = ("encoder", "index")


@dataclass(frozen=True, order=True)
class Subject:
    """An object whose Events are asked for. `uid` is empty for what is known by name alone."""

    kind: str
    name: str
    uid: str = ""


def unstarted(observed: Observed, now: datetime) -> list[Subject]:
    """What is asked about, each once, in an order that stays."""
    return sorted(set(_subjects(observed, now)))


def _subjects(observed: Observed, now: datetime) -> Iterator[Subject]:
    for job in observed.jobs:
        if is_over(job) or is_suspended(job) or "deletionTimestamp" in job["metadata"]:
            continue
        its = newest_of_each(
            by_age(pod for pod in observed.pods if is_owned(pod, job["metadata"].get("uid", "")))
        )
        if lacks_pods(job, its) and _is_due(began(job), now):
            yield _subject("Job", job)
        for pod in its:
            yield from _of_pod(observed, pod, now)
    warming = {
        str(release["metadata"]["name"])
        for release in observed.releases
        if (release.get("status") or {}).get("stage") == Stage.WARMING
    }
    for pod in observed.pods:
        if _label(pod, labels.RELEASE) in warming and _label(pod, labels.COMPONENT) in _SERVERS:
            yield from _of_pod(observed, pod, now)


def _of_pod(observed: Observed, pod: Object, now: datetime) -> Iterator[Subject]:
    metadata = pod["metadata"]
    if "deletionTimestamp" in metadata or not _is_due(metadata.get("creationTimestamp", ""), now):
        return
    if waits_on_node(pod) or pulls_silently(pod):
        yield _subject("Pod", pod)
    sentence, claim = unplaced(pod), _claim(observed)
    if sentence is not None and claim and obstacles.unschedulable(sentence).mend is Mend.CLAIM:
        yield Subject("PersistentVolumeClaim", claim)


def _claim(observed: Observed) -> str:
    """The claim that the pods of the model mount."""
    spec = (observed.model or {}).get("spec") or {}
    return str((spec.get("artifacts") or {}).get("claimName") or "")


def _is_due(since: str, now: datetime) -> bool:
    return not since or clock.seconds_since(since, now) >= ASK_AFTER_SECONDS


def _subject(kind: str, raw: Object) -> Subject:
    return Subject(kind, str(raw["metadata"]["name"]), str(raw["metadata"].get("uid", "")))


def _label(pod: Object, key: str) -> str | None:
    return (pod["metadata"].get("labels") or {}).get(key)
