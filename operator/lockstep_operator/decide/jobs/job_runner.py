"""Runs one Job of a release through its attempts. All kinds of Jobs go through here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from lockstep_core.protocol.result import Result
from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import seconds_left
from lockstep_operator.decide.context.plan import reference
from lockstep_operator.decide.context.transitions import Fail, Stay, stay
from lockstep_operator.decide.context.waits import REFUSED_AGAIN_SECONDS, REMNANT_SECONDS
from lockstep_operator.decide.jobs import attempts, obstacles
from lockstep_operator.decide.jobs.job_labels import index_of, kind_of
from lockstep_operator.decide.jobs.job_status import JobState, Report, Retry, is_over, read_job
from lockstep_operator.decide.snapshot.observed import Refusal
from lockstep_operator.decide.snapshot.snapshot import explain
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import (
    JOBS,
    JobInputs,
    JobKind,
    JobSettings,
    attempt_job,
    job_name,
)


@dataclass(frozen=True)
class Task:
    """One Job of a release, whatever its attempt. `build` makes the Job of an attempt."""

    kind: JobKind
    index: str | None
    settings: JobSettings
    build: Callable[[int], Object]

    @property
    def key(self) -> str:
        return attempts.key_of(self.kind, self.index)


def task(
    context: ReconcileContext, name: str, kind: JobKind, index: FrozenIndex | None = None
) -> Task:
    """The Job of this kind that release `name` needs, of one of its indexes where it has one."""
    recipe = context.snapshot.index(index.name) if index else None

    def build(attempt: int) -> Object:
        inputs = JobInputs(
            model=context.model,
            release=context.release(name),
            attempt=attempt,
            stable=context.stable,
            index=index,
            recipe=recipe,
        )
        secrets = context.snapshot.settings.image_pull_secrets
        return attempt_job(kind, inputs, pull_secrets=secrets)

    which = index.name if index else None
    return Task(kind, which, JOBS[kind].settings(context.model, which, recipe), build)


def run(context: ReconcileContext, name: str, task: Task) -> Result | Stay | Fail:
    """The result of the task's Job once it is complete; until then what becomes of the release."""
    release = context.release(name)
    attempt = attempts.current(release.status, task.kind, task.index)
    job_id = job_name(name, task.kind, attempt, task.index)
    remnant = context.snapshot.remnant("Job", job_id, release.uid)
    if remnant is not None:
        context.wake_in(REMNANT_SECONDS)
        return stay(str(release.status.stage), f"waits: {remnant}")
    conflict = context.snapshot.conflict("Job", job_id, release.uid)
    if conflict is not None:
        return Fail(Reason.NAME_CONFLICT, conflict)
    job = context.snapshot.child("Job", job_id, release.uid)
    if job is None:
        return _start(context, name, task, attempt)
    snapshot = context.snapshot
    pods, events = snapshot.pods_of_job(job), snapshot.observed.events
    report = read_job(job, pods, task.kind, snapshot.now, events)
    if report.look_again_in is not None:
        context.wake_in(report.look_again_in)
    if report.result is not None and report.state is JobState.COMPLETE:
        return report.result
    if report.state is JobState.FAILED:
        return _failed(context, name, task, attempt, report)
    if report.state is JobState.STUCK:
        return _stuck(context, name, task, report)
    if report.state is JobState.QUEUED:
        return stay(Reason.QUEUED, f"{_what(context, name, task)}: {report.message}")
    return _runs(context, name, task)


def _start(context: ReconcileContext, name: str, task: Task, attempt: int) -> Stay | Fail:
    others = [
        job for job in _live(context, name, task) if "deletionTimestamp" not in job["metadata"]
    ]
    if others:
        # Two live Jobs of one kind would write the same artifact: the other one goes first.
        context.delete.extend(reference(job) for job in others)
        context.wake_in(1.0)
        return _runs(context, name, task)
    status = context.release(name).status
    if status.next_retry_at is not None:
        at = status.next_retry_at
        if clock.seconds_since(at, context.snapshot.now) < 0:
            context.wake_at(at)
            failure = status.last_failure
            why = f"{failure.reason}: {failure.message}" if failure else "an attempt failed"
            return _retries(why, attempt, at)
        context.change(name, next_retry_at=None)
    try:
        job = task.build(attempt)
    except ValidationError as error:
        # What is frozen and what is policy were never checked together.
        message = f"its Job cannot be made with the spec as it is now: {explain(error)}"
        return stay(Reason.INVALID_SPEC, message)
    refusal = context.snapshot.refusal("Job", job_name(name, task.kind, attempt, task.index))
    if refusal is not None:
        return _refused(context, name, task, job, refusal)
    context.create.append(job)
    return _runs(context, name, task)


def _refused(
    context: ReconcileContext, name: str, task: Task, job: Object, refusal: Refusal
) -> Stay | Fail:
    """The API server did not take the Job: it is sent again, unless that is no use or too late."""
    obstacle = obstacles.refusal(refusal.message)
    what = f"the API server refused Job {refusal.name}"
    fix = obstacle.mend.advice(task.settings.template_field)
    if obstacle.final:
        return Fail(Reason.WRITE_REFUSED, f"{what}: {refusal.message}; {fix}")
    left = seconds_left(context, name, _due_since(context, name, task))
    if left is not None and left <= 0:
        seconds = context.model.spec.rollout.progress_deadline_seconds
        message = f"{what} for {seconds} s: {refusal.message}; {fix}"
        return Fail(Reason.WRITE_REFUSED, message)
    context.create.append(job)
    context.wake_in(REFUSED_AGAIN_SECONDS)
    return stay(Reason.WRITE_REFUSED, f"{what}: {refusal.message}")


def _due_since(context: ReconcileContext, name: str, task: Task) -> str:
    """When the current attempt was due: with its stage, or after the failure before it."""
    release = context.release(name)
    status = release.status
    began = status.stage_started_at or context.now
    if status.last_failure is None or status.last_failure.stage != str(status.stage):
        return began
    recorded = attempts.recorded_attempts(status)
    tries = attempts.failures(status, task.kind, task.index) + recorded.disruptions
    wait = attempts.backoff_seconds(release.uid, task.key, tries)
    return max(began, clock.later(clock.parse(status.last_failure.time), wait))


def _failed(
    context: ReconcileContext, name: str, task: Task, attempt: int, report: Report
) -> Stay | Fail:
    release = context.release(name)
    spent = attempts.failures(release.status, task.kind, task.index)
    limit = context.model.spec.origin.max_attempts
    counted = report.retry is Retry.COUNTED
    if report.retry is Retry.NEVER or (counted and spent + 1 >= limit):
        tried = f" (attempt {spent + 1} of {limit})" if counted else ""
        message = f"{_message(task, report)}{tried}"
        damage = report.result.damage if report.result else None
        return Fail(report.reason, message, report.exit_code, report.pod, damage=damage)
    recorded = attempts.fail_one(
        attempts.recorded_attempts(release.status), task.kind, task.index, attempt, counted=counted
    )
    wait = attempts.backoff_seconds(release.uid, task.key, spent + recorded.disruptions + counted)
    at = clock.later(context.snapshot.now, wait)
    failure = context.failure(
        name, report.reason, report.message, exit_code=report.exit_code, pod=report.pod
    )
    context.change(name, attempts=recorded, next_retry_at=at, last_failure=failure)
    context.wake_at(at)
    what = "failed" if counted else "was disrupted (not counted)"
    why = f"{report.reason}: {report.message}"
    reason = Reason.ATTEMPT_FAILED if counted else Reason.DISRUPTED
    context.event(reason, f"{name} {task.key} attempt {attempt} {what}: {why}", warning=True)
    return _retries(why, attempt + 1, at)


def _retries(why: str, attempt: int, at: str) -> Stay:
    message = f"waits to try again: {why}; attempt {attempt} starts at {at}"
    return stay(Reason.RETRYING, message)


def _stuck(context: ReconcileContext, name: str, task: Task, report: Report) -> Stay | Fail:
    stuck = report.stuck
    assert stuck is not None
    fix = stuck.advice(task.settings.template_field)
    if stuck.is_final:
        return Fail(stuck.reason, f"{stuck.sentence()}; {fix}", pod=stuck.pod)
    left = seconds_left(context, name, stuck.since) if stuck.since else None
    if left is None or left > 0:
        if left is not None:
            context.wake_in(left)
        return stay(stuck.reason, f"{_what(context, name, task)}: {stuck.sentence()}; {fix}")
    seconds = context.model.spec.rollout.progress_deadline_seconds
    message = f"{stuck.sentence(f' after {seconds} s')}; {fix}"
    return Fail(stuck.reason, message, pod=stuck.pod)


def _message(task: Task, report: Report) -> str:
    settings = task.settings
    if report.reason == Reason.DEADLINE_EXCEEDED:
        return f"{report.message}: raise {settings.deadline_field}, or give the Job more resources"
    if report.reason == Reason.OUT_OF_MEMORY and report.result is None:
        return f"{report.message}: raise {settings.template_field}.resources.limits.memory"
    return report.message or "the program left no message"


def _runs(context: ReconcileContext, name: str, task: Task) -> Stay:
    return stay(str(context.release(name).status.stage), _what(context, name, task))


def _what(context: ReconcileContext, name: str, task: Task) -> str:
    status = context.release(name).status
    tries = attempts.failures(status, task.kind, task.index) + 1
    limit = context.model.spec.origin.max_attempts
    which = f" ({task.index})" if task.index else ""
    return f"{JOBS[task.kind].doing}{which}, attempt {tries} of {limit}"


def _live(context: ReconcileContext, name: str, task: Task) -> list[Object]:
    """Jobs of this task that may still have a pod, whatever their attempt."""
    release = context.release(name)
    return [
        job
        for job in context.snapshot.children("Job", release.uid)
        if not is_over(job) and kind_of(job) == task.kind and index_of(job) == task.index
    ]
