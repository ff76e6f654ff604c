"""What is kept of releases that do not serve: warm for a rollback, then a record, then nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from lockstep_operator.api.kinds import AUTOSCALER, DEPLOYMENT, EMBEDDING_RELEASE, REMOVED
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ENDED, ReconcileContext
from lockstep_operator.decide.context.plan import Reference, reference
from lockstep_operator.decide.jobs.job_labels import analysis_of, attempt_of, index_of, kind_of
from lockstep_operator.decide.jobs.job_status import is_over
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import JobKind, encoder_name, short_name

# A replaced release answers what reached it before every node had heard of the switch.
DRAIN_SECONDS = 30.0
# Ended Jobs of one task that stay with a release: retries by hand have no bound of their own.
KEPT_JOBS = 3
_SERVE = (Stage.FINALIZING, Stage.SERVING)


def retain(context: ReconcileContext) -> None:
    """Keeps replaced releases inside the rollback window whole, and retires the others."""
    window = context.model.spec.rollout.rollback_window
    for place, release in enumerate(context.retained):
        since = release.status.finished_at or context.now
        age = clock.seconds_since(since, context.snapshot.now)
        limit = float(window.seconds) if place < window.releases else 0.0
        left = max(limit, DRAIN_SECONDS) - age
        if left <= 0:
            context.enter(release.name, Stage.RETIRED)
            told = "left the rollback window: its pods are deleted, its record stays"
            context.say(release.name, Reason.RETIRED, told)
            context.event(Reason.RETIRED, f"{short_name(release.name)} {told}")
            continue
        context.wake_in(left)
        pair = upkeep(context, release)
        lacking = f", but not whole: {pair.told()}" if pair.lacking else ""
        told = f"is kept for a rollback{lacking}"
        context.say(release.name, Reason.RETAINED, told, ready=pair.whole)


def sweep(context: ReconcileContext) -> None:
    """Deletes children of ended releases, and of every release the Jobs that are too many.

    Ended Jobs of what lives or failed are evidence, so the last few of each task stay.
    """
    for release in context.releases:
        stage = release.status.stage
        jobs = context.snapshot.children("Job", release.uid)
        found: list[Object] = []
        if stage in ENDED:
            found += _servers(context, release)
            found += [job for job in jobs if stage is not Stage.FAILED or not is_over(job)]
        if stage in _SERVE or stage is Stage.RETAINED:
            found += [job for job in jobs if _is_useless(job, release)]
        if stage not in ENDED or stage is Stage.FAILED:
            found += _old_evidence(job for job in jobs if not _is_measurement(job, release))
        context.delete.extend(
            reference(child) for child in found if "deletionTimestamp" not in child["metadata"]
        )


def _servers(context: ReconcileContext, release: Release) -> list[Object]:
    """What served. The encoder ends first: what it still answers needs its indexes."""
    found = {kind.kind: context.snapshot.children(kind.kind, release.uid) for kind in REMOVED}
    if context.snapshot.encoder_runs(release.name):
        encoder = encoder_name(release.name)
        first = [c for c in found[DEPLOYMENT.kind] if c["metadata"]["name"] == encoder]
        return [*found[AUTOSCALER.kind], *first]
    return [child for children in found.values() for child in children]


def _is_measurement(job: Object, release: Release) -> bool:
    """Whether the Job counts in an analysis that is under way."""
    made_for = analysis_of(job)
    status = release.status
    watched = status.stage in _SERVE and status.watch is not None and status.watch.verdict is None
    under_way = (status.step, status.watch if watched else None)
    return any(record and made_for.startswith(f"{record.analysis}/") for record in under_way)


def _is_useless(job: Object, release: Release) -> bool:
    """Whether it goes on to measure what is decided already."""
    over = is_over(job) or _is_measurement(job, release)
    return kind_of(job) == JobKind.REPLAY and not over


def _old_evidence(jobs: Iterable[Object]) -> list[Object]:
    """Ended Jobs beyond the last `KEPT_JOBS` attempts of their task."""
    tasks: dict[tuple[str, str | None], list[Object]] = defaultdict(list)
    for job in jobs:
        if is_over(job):
            tasks[kind_of(job), index_of(job)].append(job)
    return [
        job
        for ended in tasks.values()
        for job in sorted(ended, key=attempt_of, reverse=True)[KEPT_JOBS:]
    ]


def trim_history(context: ReconcileContext) -> None:
    """Deletes the oldest records beyond `revisionHistoryLimit`.

    Never the newest release: its number and its hashes say what comes next.
    """
    ended = [r for r in context.releases[:-1] if r.status.stage in ENDED]
    surplus = len(ended) - context.model.spec.revision_history_limit
    context.delete.extend(_record(release) for release in ended[: max(0, surplus)])


def _record(release: Release) -> Reference:
    kind = EMBEDDING_RELEASE
    return Reference(kind.api_version, kind.kind, release.name, release.uid)
