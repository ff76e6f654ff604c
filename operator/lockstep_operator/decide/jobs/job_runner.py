"""Carries one Job of a release through its attempts. All kinds of Jobs go through here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lockstep_core.protocol import labels
from lockstep_core.protocol.result import Result
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import seconds_left
from lockstep_operator.decide.context.plan import reference
from lockstep_operator.decide.context.waits import REFUSED_AGAIN_SECONDS, REMNANT_SECONDS
from lockstep_operator.decide.jobs import attempts
from lockstep_operator.decide.jobs.job_status import JobState, Report, Retry, is_over, read_job
from lockstep_operator.decide.jobs.pod_status import IMAGE_REASONS
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, job_name

_DOINGS = {
    JobKind.TRAIN: "trains",
    JobKind.IMPORT: "is imported",
    JobKind.EVALUATE: "is measured",
}


@dataclass(frozen=True)
class Task:
    """One kind of Job. `build` makes the Job of an attempt; the fields are for messages."""

    kind: JobKind
    index: str | None
    build: Callable[[int], Object]
    template: str
    deadline: str

    @property
    def key(self) -> str:
        return attempts.key_of(self.kind, self.index)


def run(context: ReconcileContext, name: str, task: Task) -> Result | None:
    """The result of the task's Job once it is complete; until then what it needs next."""
    release = context.release(name)
    attempt = attempts.current(release.status, task.kind, task.index)
    job = job_name(name, task.kind, attempt, task.index)
    remnant = context.snapshot.remnant("Job", job, release.uid)
    if remnant is not None:
        context.wake_in(REMNANT_SECONDS)
        context.say(name, Reason(release.status.stage or ""), f"waits: {remnant}")
        return None
    conflict = context.snapshot.conflict("Job", job, release.uid)
    if conflict is not None:
        context.fail(name, Reason.NAME_CONFLICT, conflict)
        return None
    found = context.snapshot.child("Job", job, release.uid)
    if found is None:
        _start(context, name, task, attempt)
        return None
    report = read_job(found, context.snapshot.pods_of_job(found), task.kind, context.snapshot.now)
    if report.look_again_in is not None:
        context.wake_in(report.look_again_in)
    if report.state is JobState.COMPLETE:
        return report.result
    if report.state is JobState.FAILED:
        _failed(context, name, task, attempt, report)
    elif report.state is JobState.STUCK:
        _stuck(context, name, task, report)
    elif report.state is JobState.QUEUED:
        context.say(name, Reason.QUEUED, f"{_what(context, name, task)}: {report.message}")
    else:
        _progress(context, name, task)
    return None


def _start(context: ReconcileContext, name: str, task: Task, attempt: int) -> None:
    release = context.release(name)
    others = [
        job for job in _live(context, name, task) if "deletionTimestamp" not in job["metadata"]
    ]
    if others:
        # Two live Jobs of one kind would write the same artifact: the other one goes first.
        context.delete.extend(reference(job) for job in others)
        context.wake_in(1.0)
        _progress(context, name, task)
        return
    wait = release.status.next_retry_at
    if wait is not None:
        if clock.seconds_since(wait, context.snapshot.now) < 0:
            context.wake_at(wait)
            failure = release.status.last_failure
            why = f"{failure.reason}: {failure.message}" if failure else "an attempt failed"
            context.say(
                name,
                Reason.RETRYING,
                f"waits to try again: {why}; attempt {attempt} starts at {wait}",
            )
            return
        context.change(name, next_retry_at=None)
    context.create.append(task.build(attempt))
    refusal = context.snapshot.refusal("Job", job_name(name, task.kind, attempt, task.index))
    if refusal is None:
        _progress(context, name, task)
        return
    context.wake_in(REFUSED_AGAIN_SECONDS)
    told = f"the API server refused Job {refusal.name}: {refusal.message}"
    context.say(name, Reason.WRITE_REFUSED, told)


def _failed(context: ReconcileContext, name: str, task: Task, attempt: int, report: Report) -> None:
    release = context.release(name)
    spent = attempts.failures(release.status, task.kind, task.index)
    limit = context.model.spec.origin.max_attempts
    counted = report.retry is Retry.COUNTED
    if report.retry is Retry.NEVER or (counted and spent + 1 >= limit):
        tried = f" (attempt {spent + 1} of {limit})" if counted else ""
        message = f"{_message(task, report)}{tried}"
        context.fail(name, report.reason, message, exit_code=report.exit_code, pod=report.pod)
        return
    book = attempts.fail_one(
        attempts.book(release.status), task.kind, task.index, attempt, counted=counted
    )
    wait = attempts.backoff_seconds(release.uid, task.key, spent + book.disruptions + counted)
    at = clock.later(context.snapshot.now, wait)
    failure = context.failure(name, report.reason, report.message, report.exit_code, report.pod)
    context.change(name, attempts=book, next_retry_at=at, last_failure=failure)
    context.wake_at(at)
    what = "failed" if counted else "was disrupted (not counted)"
    why = f"{report.reason}: {report.message}"
    told = f"waits to try again: {why}; attempt {attempt + 1} starts at {at}"
    context.say(name, Reason.RETRYING, told)
    reason = Reason.ATTEMPT_FAILED if counted else Reason.DISRUPTED
    context.event(reason, f"{name} {task.key} attempt {attempt} {what}: {why}", warning=True)


def _stuck(context: ReconcileContext, name: str, task: Task, report: Report) -> None:
    assert report.stuck is not None
    left = seconds_left(context, name, report.stuck.since) if report.stuck.since else None
    if left is None or left > 0:
        if left is not None:
            context.wake_in(left)
        told = f"{_what(context, name, task)}: {report.message}; {_fix(task, report)}"
        context.say(name, report.reason, told)
        return
    seconds = context.model.spec.rollout.progress_deadline_seconds
    detail = f": {report.stuck.detail}" if report.stuck.detail else ""
    message = f"{report.message} after {seconds} s{detail}; {_fix(task, report)}"
    context.fail(name, report.reason, message, pod=report.pod)


def _fix(task: Task, report: Report) -> str:
    if report.reason in IMAGE_REASONS:
        return f"set {task.template}.image to one that the nodes can pull"
    missing = report.stuck.missing if report.stuck else None
    if missing is not None and missing.startswith("PersistentVolumeClaim"):
        return "make it, or name another in `spec.artifacts.claimName`"
    if missing is not None:
        return f"make it, or name another in `spec.artifacts.secretRef` or in {task.template}"
    if report.reason == Reason.UNSCHEDULABLE:
        return f"lower {task.template}.resources, or give the cluster a node that fits"
    return f"look at {task.template}, and at the Secret and the claim that `spec.artifacts` names"


def _message(task: Task, report: Report) -> str:
    if report.reason == Reason.DEADLINE_EXCEEDED:
        return f"{report.message}: raise {task.deadline}, or give the Job more resources"
    if report.reason == Reason.OUT_OF_MEMORY and report.result is None:
        return f"{report.message}: raise {task.template}.resources.limits.memory"
    return report.message or "the program left no message"


def _progress(context: ReconcileContext, name: str, task: Task) -> None:
    stage = context.release(name).status.stage
    assert stage is not None
    context.say(name, Reason(stage), _what(context, name, task))


def _what(context: ReconcileContext, name: str, task: Task) -> str:
    status = context.release(name).status
    tries = attempts.failures(status, task.kind, task.index) + 1
    limit = context.model.spec.origin.max_attempts
    verb = _DOINGS.get(task.kind, "is indexed")
    which = f" ({task.index})" if task.index else ""
    return f"{verb}{which}, attempt {tries} of {limit}"


def _live(context: ReconcileContext, name: str, task: Task) -> list[Object]:
    """Jobs of this task that may still have a pod, whatever their attempt."""
    release = context.release(name)
    wanted = {labels.COMPONENT: str(task.kind), labels.INDEX: task.index}
    return [
        job
        for job in context.snapshot.children("Job", release.uid)
        if not is_over(job)
        and all((job["metadata"].get("labels") or {}).get(k) == v for k, v in wanted.items())
    ]
