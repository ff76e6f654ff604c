"""The pods of a workload that are not ready, and why: they do not start, or they crash."""

from __future__ import annotations

from collections.abc import Iterable

from lockstep_core.protocol.crashes import crash_of
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.health import PodTrouble
from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.jobs.stuck import find_stuck
from lockstep_operator.decide.snapshot.observed import SeenEvents
from lockstep_operator.decide.snapshot.targets import is_ready
from lockstep_operator.manifests.programs import CONTAINER

_ENDED = ("Succeeded", "Failed")


def unready(pods: Iterable[Object], events: SeenEvents) -> list[PodTrouble]:
    """Those that are not ready, by name, first those that say why.

    One that ended for good (evicted) is replaced by its controller, and is none of them.
    """
    waiting = [pod for pod in pods if not is_ready(pod) and not _is_over(pod)]
    troubles = [_trouble(pod, events) for pod in sorted(waiting, key=pod_status.name_of)]
    return sorted(troubles, key=lambda trouble: not trouble.reason)


def _trouble(pod: Object, events: SeenEvents) -> PodTrouble:
    name, stuck = pod_status.name_of(pod), find_stuck([pod], events)
    if stuck is not None:
        return PodTrouble(name, stuck.sentence())
    crash = crash_of(pod)
    if crash is not None:
        return PodTrouble(name, crash.sentence(), crash.container, crash.restarted)
    started = (pod.get("status") or {}).get("phase") == "Running"
    return PodTrouble(name, container=CONTAINER if started else None)


def _is_over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED
