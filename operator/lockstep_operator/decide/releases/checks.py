"""Checks of stored files: a Job reads what a release serves from, and its verdict goes on record.

A pod verifies its files when it starts, and holds them from then on: a file that is lost later is
seen by the next pod that starts. So what serves and what is kept are read by and by, and what is
found is told while there is time. Nothing waits for a check: see `docs/runbooks/lost-artifacts.md`.
"""

from __future__ import annotations

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import CheckFacts
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.api.stored import ArtifactCheck, DamagedArtifact
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.stored import damage_text, is_checked, of_release
from lockstep_operator.decide.context.waits import REFUSED_AGAIN_SECONDS
from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.jobs.attempts import spread
from lockstep_operator.decide.jobs.job_labels import attempt_of, kind_of
from lockstep_operator.decide.jobs.job_status import JobState, Report, ended_at, is_over, read_job
from lockstep_operator.decide.vocabulary.clock import seconds_since
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobInputs, JobKind, attempt_job, job_name, short_name

# Until the next check after one that gave no verdict, or while a pod refuses what it reads.
TRY_AGAIN_SECONDS = 3600.0
TROUBLE_CHARACTERS = 512


def read_checks(context: ReconcileContext) -> None:
    """Records what the checks found that ended since the last pass: one write each."""
    for release in context.releases:
        ended = [job for job in _jobs(context, release) if is_over(job)]
        if not ended or not is_checked(release):
            continue
        job, known = ended[-1], release.status.check or ArtifactCheck()
        at = ended_at(job) or str(job["metadata"].get("creationTimestamp", ""))
        if known.tried_at is not None and at <= known.tried_at:
            continue
        pods = context.snapshot.pods_of_job(job)
        report = read_job(job, pods, JobKind.CHECK, context.snapshot.now)
        if report.look_again_in is not None:
            context.wake_in(report.look_again_in)
        if report.state in (JobState.COMPLETE, JobState.FAILED):
            _record(context, release, known, report, at)


def plan_checks(context: ReconcileContext) -> None:
    """Starts the checks that are due, one Job of a release at a time."""
    for release in context.releases:
        if not is_checked(release):
            continue
        jobs = _jobs(context, release)
        left = _seconds_left(context, release)
        if left is None or not all(is_over(job) for job in jobs):
            continue
        attempt = (attempt_of(jobs[-1]) if jobs else 0) + 1
        if left > 0:
            context.wake_in(left)
            continue
        context.create.append(_job(context, release, attempt))
        if context.snapshot.refusal("Job", job_name(release.name, JobKind.CHECK, attempt)):
            context.wake_in(REFUSED_AGAIN_SECONDS)


def _jobs(context: ReconcileContext, release: Release) -> list[Object]:
    """All checks of the release that are still there, by attempt."""
    jobs = context.snapshot.children("Job", release.uid)
    return sorted((job for job in jobs if kind_of(job) == JobKind.CHECK), key=attempt_of)


def _record(
    context: ReconcileContext, release: Release, known: ArtifactCheck, report: Report, at: str
) -> None:
    facts = report.result.check if report.result and report.state is JobState.COMPLETE else None
    if facts is None:
        why = f"{report.reason}: {report.message}" if report.reason else "it left no verdict"
        fields = known.replace(tried_at=at, trouble=why[:TROUBLE_CHARACTERS])
        context.change(release.name, check=fields)
        return
    fields = known.replace(tried_at=at, checked_at=at, trouble=None)
    before = release.status.damaged
    context.change(release.name, check=fields, damaged=_damaged(release, facts) or None)
    now, short = context.release(release.name), short_name(release.name)
    if now.status.damaged and now.status.damaged != before:
        message = f"{short}: {damage_text(now)}: the next pod of it that starts fails"
        context.event(Reason.ARTIFACTS_DAMAGED, message, warning=True)
    elif before and not now.status.damaged:
        context.change(release.name, remake_asked_at=None)
        context.event(Reason.ARTIFACTS_WHOLE, f"{short}: its stored files are whole again")


def _damaged(release: Release, facts: CheckFacts) -> list[DamagedArtifact]:
    found = (of_release(release, damage) for damage in facts.damaged)
    return [damaged for damaged in found if damaged is not None]


def _seconds_left(context: ReconcileContext, release: Release) -> float | None:
    """Until the next check is due; None: nobody asks for one."""
    now, check = context.snapshot.now, release.status.check or ArtifactCheck()
    tried = check.tried_at
    since = seconds_since(tried, now) if tried is not None else TRY_AGAIN_SECONDS
    if check.asked_at is not None and (tried is None or check.asked_at > tried):
        return 0.0
    if check.trouble is not None or _is_refused(context, release):
        return TRY_AGAIN_SECONDS - since
    interval = context.model.spec.rollout.check_artifacts_seconds
    if interval == 0:
        return None
    # The pods verified what they read when they were made, no later than they took over.
    last = max(release.status.promoted_at or "", tried or "")
    return interval * (1 + spread(release.uid, str(JobKind.CHECK))) - seconds_since(last, now)


def _is_refused(context: ReconcileContext, release: Release) -> bool:
    """Whether a pod of the release ended because of what it read from the store."""
    ends = map(pod_status.crashed, context.snapshot.serving_pods(release.name))
    return any(end is not None and end.exit_code == ExitCode.DIGEST_MISMATCH for end in ends)


def _job(context: ReconcileContext, release: Release, attempt: int) -> Object:
    """By the operator's own image: those of the release may be of before there was a check."""
    settings = context.snapshot.settings
    inputs = JobInputs(context.model, release, attempt, images=settings.images)
    return attempt_job(JobKind.CHECK, inputs, pull_secrets=settings.image_pull_secrets)
