"""The state of a Job by itself and its pods: running, waiting, done with a result, or failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lockstep_core.protocol.exitcodes import RETRYABLE, UNCOUNTED, ExitCode
from lockstep_core.protocol.result import Result
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.jobs import obstacles, pod_status
from lockstep_operator.decide.jobs.job_pods import (
    by_age,
    gates_of,
    is_suspended,
    lacks_pods,
    newest_of_each,
)
from lockstep_operator.decide.jobs.stuck import (
    Stuck,
    began,
    find_stuck,
    look_again_in,
    refused,
    waits_on_node,
)
from lockstep_operator.decide.snapshot.observed import NO_EVENTS, SeenEvents
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JOBS, JobKind

# Jobs and pods are watched apart: a Job may be seen to end before its pod is.
POD_GRACE_SECONDS = 15.0
# A Job without a pod for so long waits for something, not for its controller.
NO_POD_AFTER_SECONDS = 60.0
SIGTERM, SIGKILL = 128 + 15, 128 + 9

_CODES = {int(code): code for code in ExitCode}
_EXIT_CODE = re.compile(r"exit code (\d+)")


class JobState(StrEnum):
    RUNNING = "Running"
    QUEUED = "Queued"
    STUCK = "Stuck"
    UNCLEAR = "Unclear"
    COMPLETE = "Complete"
    FAILED = "Failed"


class Retry(StrEnum):
    """Whether another attempt is worth it, and whether this one counts."""

    NEVER = "Never"
    COUNTED = "Counted"
    UNCOUNTED = "Uncounted"


@dataclass(frozen=True)
class Report:
    """`look_again_in` is when an unclear or waiting Job may change without any event."""

    state: JobState
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    pod: str | None = None
    result: Result | None = None
    retry: Retry = Retry.NEVER
    stuck: Stuck | None = None
    look_again_in: float | None = None


def ended_at(job: Object) -> str | None:
    """When it was complete or failed; None while it may still have a pod."""
    end = _condition(job, "Complete") or _condition(job, "Failed")
    return None if end is None else end.get("lastTransitionTime")


def is_over(job: Object) -> bool:
    """Complete or failed: it will never have a pod again."""
    return _condition(job, "Complete") is not None or _condition(job, "Failed") is not None


def read_job(
    job: Object,
    its_pods: Sequence[Object],
    kind: JobKind,
    now: datetime,
    events: SeenEvents = NO_EVENTS,
) -> Report:
    """`its_pods` are the pods that the Job owns, in any order; `events` are about it and them."""
    newest_first = by_age(its_pods)
    complete = _condition(job, "Complete")
    if complete is not None:
        return _complete(newest_first, kind, _grace_left(complete, now))
    failed = _condition(job, "Failed")
    if failed is not None:
        return _failed(newest_first, failed, _grace_left(failed, now))
    return _active(job, newest_first, now, events)


def _active(
    job: Object, newest_first: Sequence[Object], now: datetime, events: SeenEvents
) -> Report:
    held = _held(job, newest_first)
    if held is not None:
        return Report(JobState.QUEUED, Reason.QUEUED, held)
    newest = newest_of_each(newest_first)
    stuck = find_stuck(newest, events)
    if stuck is None and lacks_pods(job, newest):
        stuck = refused(job, newest_first, events)
    if stuck is not None:
        again = look_again_in(stuck.since, now) if stuck.by_event else None
        return _is_stuck(stuck, again)
    if not newest_first:
        return _has_no_pod(job, now)
    silent = [pod for pod in newest if waits_on_node(pod)]
    looks = [look_again_in(pod["metadata"].get("creationTimestamp", ""), now) for pod in silent]
    return Report(JobState.RUNNING, look_again_in=min(looks, default=None))


def _held(job: Object, newest_first: Sequence[Object]) -> str | None:
    """How a queue holds it."""
    if is_suspended(job):
        return f"Job {job['metadata']['name']} is suspended by its queue"
    for pod in newest_of_each(newest_first):
        if gates := gates_of(pod):
            who = pod_status.name_of(pod)
            return f"pod {who} is held by its scheduling gates: {', '.join(gates)}"
    return None


def _is_stuck(stuck: Stuck, again: float | None) -> Report:
    return Report(
        JobState.STUCK,
        stuck.reason,
        stuck.sentence(),
        pod=stuck.pod,
        stuck=stuck,
        look_again_in=again,
    )


def _has_no_pod(job: Object, now: datetime) -> Report:
    since = began(job)
    age = clock.seconds_since(since, now) if since else 0.0
    again = look_again_in(since, now)
    if age < NO_POD_AFTER_SECONDS:
        return Report(JobState.RUNNING, look_again_in=min(again, NO_POD_AFTER_SECONDS - age))
    describe = f"kubectl describe job/{job['metadata']['name']} -n {job['metadata']['namespace']}"
    nothing = obstacles.Obstacle(f"no Event says why; see {describe}", obstacles.Mend.NO_POD)
    stuck = Stuck(f"Job {job['metadata']['name']}", Reason.NO_POD, nothing, since, by_event=True)
    return _is_stuck(stuck, again)


def _causes_first(newest_first: Sequence[Object]) -> list[Object]:
    """Of several pods, those that failed by themselves before those that ended because of them."""

    def follows(pod: Object) -> bool:
        end = pod_status.ended(pod)
        return pod_status.is_disrupted(pod) or (end is not None and end.exit_code in UNCOUNTED)

    return sorted(newest_first, key=follows)


def _complete(newest_first: Sequence[Object], kind: JobKind, grace: float) -> Report:
    ends = [end for pod in newest_first if (end := pod_status.ended(pod)) is not None]
    well = [end for end in ends if end.exit_code == ExitCode.OK]
    # Of several pods only that of process 0 leaves a result.
    done = next((end for end in well if end.result is not None), well[0] if well else None)
    if done is None:
        if grace > 0:
            return Report(JobState.UNCLEAR, look_again_in=grace)
        message = "the Job is complete, but its pod was gone before it could be read"
        return Report(JobState.FAILED, Reason.DISRUPTED, message, retry=Retry.UNCOUNTED)
    result = done.result
    if result is None:
        message = (
            "the program ended well, but its termination message is not a result of"
            f" this version: {done.text[:200] or 'it is empty'}"
        )
        return Report(JobState.FAILED, Reason.INVALID_RESULT, message, pod=done.pod)
    program = JOBS[kind].program
    if result.program is not program or result.exit_code is not ExitCode.OK:
        message = (
            f"the result is of {result.program} with exit code {int(result.exit_code)},"
            f" expected {program} with 0: is the image the right program?"
        )
        return Report(JobState.FAILED, Reason.INVALID_RESULT, message, pod=done.pod)
    return Report(JobState.COMPLETE, pod=done.pod, result=result)


def _failed(newest_first: Sequence[Object], condition: Object, grace: float) -> Report:
    if condition.get("reason") == Reason.DEADLINE_EXCEEDED:
        return Report(JobState.FAILED, Reason.DEADLINE_EXCEEDED, "the attempt ran too long")
    for pod in _causes_first(newest_first):
        end = pod_status.ended(pod)
        if pod_status.is_disrupted(pod):
            message = f"pod {pod_status.name_of(pod)} was disrupted"
            return _lost(message, pod_status.name_of(pod), Retry.UNCOUNTED)
        if end is not None and end.exit_code != ExitCode.OK:
            return _classify(end)
        if pod_status.is_evicted(pod):
            why = (pod.get("status") or {}).get("reason") or "no exit code"
            message = f"pod {pod_status.name_of(pod)} failed without an exit code ({why})"
            return _lost(message, pod_status.name_of(pod), Retry.COUNTED)
    if grace > 0:
        return Report(JobState.UNCLEAR, look_again_in=grace)
    exit_code = _EXIT_CODE.search(condition.get("message") or "")
    if exit_code is not None:
        # The pod is gone; the Job controller's own words still name the code.
        return _classify(pod_status.Ended("", int(exit_code[1]), None, condition["message"], False))
    return _lost("the pod was lost before it ended", None, Retry.UNCOUNTED)


def _lost(message: str, pod: str | None, retry: Retry) -> Report:
    return Report(JobState.FAILED, Reason.DISRUPTED, message, pod=pod, retry=retry)


def _classify(end: pod_status.Ended) -> Report:
    """Sorts an exit code: the program's own word where it left one, else the code's name."""
    reason, message, retry = _why(end)
    return Report(
        JobState.FAILED,
        reason,
        message,
        exit_code=end.exit_code,
        pod=end.pod or None,
        result=end.result,
        retry=retry,
    )


def _why(end: pod_status.Ended) -> tuple[str, str, Retry]:
    tail = end.text[-500:]
    if end.result is not None and end.result.exit_code == end.exit_code:
        return end.result.reason, end.result.message, _retry_of(end.exit_code)
    if end.out_of_memory:
        return Reason.OUT_OF_MEMORY, "the container was ended at its memory limit", Retry.NEVER
    if end.exit_code in (SIGTERM, SIGKILL):
        return Reason.KILLED, f"a signal ended the program. {tail}".strip(), Retry.COUNTED
    if end.exit_code in _CODES:
        name = _CODES[end.exit_code].name.title().replace("_", "")
        return name, tail or "the program left no message", _retry_of(end.exit_code)
    return Reason.PROGRAM_FAILED, tail or "the program left no message", Retry.NEVER


def _retry_of(code: int) -> Retry:
    if code in UNCOUNTED:
        return Retry.UNCOUNTED
    return Retry.COUNTED if code in RETRYABLE else Retry.NEVER


def _condition(job: Object, kind: str) -> Object | None:
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == "True":
            typed: Object = condition
            return typed
    return None


def _grace_left(condition: Object, now: datetime) -> float:
    since = condition.get("lastTransitionTime")
    return POD_GRACE_SECONDS - clock.seconds_since(since, now) if since else 0.0
