"""What is kept of releases that do not serve: pods for a rollback, then a record, then nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from lockstep_operator.api.kinds import AUTOSCALER, DEPLOYMENT, EMBEDDING_RELEASE, REMOVED
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.plan import Reference, reference
from lockstep_operator.decide.context.transitions import Enter, Note
from lockstep_operator.decide.jobs.job_labels import analysis_of, attempt_of, index_of, kind_of
from lockstep_operator.decide.jobs.job_status import is_over
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.stages.apply import apply
from lockstep_operator.decide.stages.finalizing import replaced
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.manifests import JobKind, encoder_name, short_name

# A replaced release answers what reached it before every node had the switch.
DRAIN_SECONDS = 30.0
# Ended Jobs of one task that stay with a release: retries by hand have no bound of their own.
KEPT_JOBS = 3


def retire(context: ReconcileContext) -> None:
    """Retires kept releases that left the rollback window: their pods go, their records stay."""
    window = context.model.spec.rollout.rollback_window
    for place, release in enumerate(context.retained):
        since = release.status.finished_at or context.now
        age = clock.seconds_since(since, context.snapshot.now)
        limit = float(window.seconds) if place < window.releases else 0.0
        left = max(limit, DRAIN_SECONDS) - age
        if left > 0:
            context.wake_in(left)
            continue
        apply(context, release.name, retires(context, release))


def retires(context: ReconcileContext, release: Release) -> Enter[Literal[Stage.RETIRED]]:
    """Its pods go; what it was stays on record."""
    message = "left the rollback window: its pods are deleted, its record stays"
    context.event(Stage.RETIRED, f"{short_name(release.name)} {message}")
    return Enter(Stage.RETIRED, note=Note(Stage.RETIRED, message))


def retain_replaced(context: ReconcileContext) -> None:
    """Every other release that held the entry point is kept, with how it lost it."""
    stable = context.stable
    for other in context.releases:
        if stable is None or other.name == stable.name:
            continue
        if facts_of(other.status.stage).serves:
            apply(context, other.name, replaced(context, other, stable))


def plan_removals(context: ReconcileContext) -> None:
    """Plans the deletion of what is needed no more, by the final records of the pass."""
    _sweep(context)
    _trim_history(context)


def _sweep(context: ReconcileContext) -> None:
    """Deletes children of ended releases, and of every release the Jobs that are too many.

    Ended Jobs of what lives or failed are evidence, so the last few of each task stay.
    """
    for release in context.releases:
        stage = release.status.stage
        facts = facts_of(stage)
        jobs = context.snapshot.children("Job", release.uid)
        surplus: list[Object] = []
        if facts.ended:
            surplus += _servers(context, release)
            surplus += [job for job in jobs if stage is not Stage.FAILED or not is_over(job)]
        if facts.serves or stage is Stage.RETAINED:
            surplus += [job for job in jobs if _is_useless(job, release)]
        if not facts.ended or stage is Stage.FAILED:
            surplus += _old_evidence(job for job in jobs if not _is_measurement(job, release))
        context.delete.extend(
            reference(child) for child in surplus if "deletionTimestamp" not in child["metadata"]
        )


def _servers(context: ReconcileContext, release: Release) -> list[Object]:
    """What served. The encoder ends first: what it still answers needs its indexes."""
    by_kind = {kind.kind: context.snapshot.children(kind.kind, release.uid) for kind in REMOVED}
    if context.snapshot.encoder_runs(release.name):
        encoder = encoder_name(release.name)
        first = [c for c in by_kind[DEPLOYMENT.kind] if c["metadata"]["name"] == encoder]
        return [*by_kind[AUTOSCALER.kind], *first]
    return [child for children in by_kind.values() for child in children]


def _is_measurement(job: Object, release: Release) -> bool:
    """Whether the Job counts in an analysis that is under way."""
    made_for = analysis_of(job)
    status = release.status
    watched = (
        facts_of(status.stage).serves and status.watch is not None and status.watch.verdict is None
    )
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


def _trim_history(context: ReconcileContext) -> None:
    """Deletes the oldest records beyond `revisionHistoryLimit`.

    Never the newest release: its number and its hashes decide what comes next.
    """
    ended = [r for r in context.releases[:-1] if facts_of(r.status.stage).ended]
    surplus = len(ended) - context.model.spec.revision_history_limit
    context.delete.extend(_record(release) for release in ended[: max(0, surplus)])


def _record(release: Release) -> Reference:
    kind = EMBEDDING_RELEASE
    return Reference(kind.api_version, kind.kind, release.name, release.uid)
