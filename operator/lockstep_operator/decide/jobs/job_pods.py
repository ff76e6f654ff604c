"""The pods of a Job: which of them count, whether one is lacking, and who holds them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lockstep_operator.api.objects import Object
from lockstep_operator.decide.jobs.pod_status import containers_of, name_of

COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"


def by_age(its_pods: Iterable[Object]) -> list[Object]:
    """The newest first."""
    return sorted(
        its_pods,
        key=lambda pod: (pod["metadata"].get("creationTimestamp", ""), name_of(pod)),
        reverse=True,
    )


def newest_of_each(newest_first: Sequence[Object]) -> list[Object]:
    """The newest pod of each completion index; of a Job without indexes the newest of all."""
    newest: dict[str, Object] = {}
    for pod in newest_first:
        marks = pod["metadata"].get("annotations") or {}
        newest.setdefault(marks.get(COMPLETION_INDEX, ""), pod)
    return list(newest.values())


def lacks_pods(job: Object, newest: Iterable[Object]) -> bool:
    """Whether the Job should have another pod beside `newest`; failed ones do not count."""
    wanted = int((job.get("spec") or {}).get("parallelism") or 1)
    there = [pod for pod in newest if (pod.get("status") or {}).get("phase") != "Failed"]
    return len(there) < wanted


def is_suspended(job: Object) -> bool:
    """Whether a queue holds it, or its controller has not seen yet that it was let go."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return bool((job.get("spec") or {}).get("suspend")) or any(
        condition.get("type") == "Suspended" and condition.get("status") == "True"
        for condition in conditions
    )


def gates_of(pod: Object) -> list[str]:
    """The scheduling gates by which a queue holds the pod."""
    gates = (pod.get("spec") or {}).get("schedulingGates") or []
    return [str(gate.get("name", "")) for gate in gates]


def last_change(its_pods: Iterable[Object]) -> str:
    """When the last of them was made or ended; empty without any."""
    return max((moment for pod in its_pods for moment in _moments(pod)), default="")


def _moments(pod: Object) -> Iterator[str]:
    yield str(pod["metadata"].get("creationTimestamp") or "")
    for container in containers_of(pod):
        terminated = (container.get("state") or {}).get("terminated") or {}
        yield str(terminated.get("finishedAt") or "")
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "DisruptionTarget":
            yield str(condition.get("lastTransitionTime") or "")
