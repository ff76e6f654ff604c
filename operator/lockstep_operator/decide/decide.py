"""One decision over one model: a snapshot in, a plan out. No clock, no call, no memory."""

from __future__ import annotations

from datetime import datetime

from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Stage
from lockstep_operator.api.rollout import Supersede
from lockstep_operator.decide.context.context import ENDED, ReconcileContext
from lockstep_operator.decide.context.pauses import update_pause
from lockstep_operator.decide.context.plan import Plan, StatusWrite
from lockstep_operator.decide.releases.model import follow
from lockstep_operator.decide.releases.retention import retain, sweep, trim_history
from lockstep_operator.decide.releases.verbs import handle_verbs
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.snapshot.observed import Observed, Settings
from lockstep_operator.decide.snapshot.snapshot import Unreadable, is_owned, read, read_indexes
from lockstep_operator.decide.stages.advance import advance
from lockstep_operator.decide.stages.finalizing import finalizing
from lockstep_operator.decide.stages.serving import serving
from lockstep_operator.decide.status.index_status import broken, project_index, without_model
from lockstep_operator.decide.status.model_status import (
    project_model,
    terminating,
    unreadable,
    write_of,
)
from lockstep_operator.decide.status.release_status import note_stable, write_records
from lockstep_operator.decide.traffic.traffic import steer
from lockstep_operator.decide.vocabulary import clock

# Where a candidate whose indexes are out of date stops: its model is all that is still wanted.
_AFTER_THE_VERDICT = frozenset({Stage.INDEXING, Stage.WARMING})


def decide(observed: Observed, settings: Settings, now: datetime) -> Plan:
    """What to write so that the model comes one step nearer to its spec.

    A plan over a settled model is empty. Deciding again over what a plan wrote, or over any part
    of it after a crash, goes on from there: a record is written before the deed that it names.
    """
    if observed.model is None:
        return Plan(projections=_written(_orphaned(observed, clock.text(now))))
    try:
        snapshot = read(observed, settings, now)
    except Unreadable as error:
        status = unreadable(observed, error.problem, clock.text(now))
        return Plan(projections=_written([("EmbeddingModel", observed.model, status)]))
    if snapshot.model.deleting:
        status = terminating(snapshot).to_wire()
        return Plan(projections=_written([("EmbeddingModel", snapshot.model.raw, status)]))
    return _decide(ReconcileContext(snapshot))


def _decide(context: ReconcileContext) -> Plan:
    handle_verbs(context)
    to_create = follow(context)
    if to_create is not None and not context.changed():
        return _creation(context, to_create)
    _move(context)
    note_stable(context)
    retain(context)
    steer(context)
    sweep(context)
    trim_history(context)
    write_records(context)
    return _plan(context)


def _move(context: ReconcileContext) -> None:
    """Takes the candidate, and a release that was just promoted, as far as this pass can."""
    stable = context.stable
    if stable is not None and stable.status.stage is Stage.FINALIZING:
        finalizing(context, stable)
    elif stable is not None:
        serving(context, stable)
    candidate = context.candidate
    if candidate is None:
        return
    update_pause(context, candidate)
    desired = context.desired
    outdated = isinstance(desired, Desired) and not desired.is_within(candidate)
    restarts = context.model.spec.rollout.supersede is Supersede.RESTART
    stop_at = _AFTER_THE_VERDICT if outdated and restarts else frozenset()
    advance(context, candidate.name, stop_at=stop_at)


def _creation(context: ReconcileContext, manifest: Object) -> Plan:
    """A plan that creates a release writes nothing else, unless that was refused before.

    Then the status must tell it first, or it would never be told.
    """
    name = manifest["metadata"]["name"]
    if context.snapshot.refusal("EmbeddingRelease", name) is not None:
        note_stable(context)
        retain(context)
        write_records(context)
        plan = _plan(context)
        if plan.projections:
            return plan
    return Plan(releases=(manifest,), events=tuple(context.events))


def _plan(context: ReconcileContext) -> Plan:
    """Collects the pass. Nothing is made for a release that the pass itself ended."""
    over = {release.uid for release in context.releases if release.status.stage in ENDED}
    records = [
        ("EmbeddingRelease", release.raw, release.status.to_wire()) for release in context.changed()
    ]
    return Plan(
        records=_written(records),
        create=tuple(job for job in context.create if not _is_of(job, over)),
        apply=tuple(child for child in context.apply if not _is_of(child, over)),
        delete=tuple(context.delete),
        projections=_written(_projections(_as_recorded(context))),
        events=tuple(context.events),
        measure=tuple(context.measure),
        look_again_after=context.look_again_after,
    )


def _as_recorded(context: ReconcileContext) -> ReconcileContext:
    """The pass as the statuses may tell it: nothing of it, while a record cannot be written."""
    if context.snapshot.refused_record is None:
        return context
    resting = ReconcileContext(context.snapshot)
    note_stable(resting)
    return resting


def _projections(context: ReconcileContext) -> list[tuple[str, Object, Object]]:
    snapshot, model = context.snapshot, context.snapshot.model
    found = [("EmbeddingModel", model.raw, project_model(context).to_wire())]
    for index in snapshot.indexes:
        found.append(("VectorIndex", index.raw, project_index(context, index).to_wire()))
    for wrong in snapshot.broken_indexes:
        status = broken(wrong.raw, wrong.message, context.now).to_wire()
        found.append(("VectorIndex", wrong.raw, status))
    return found


def _orphaned(observed: Observed, now: str) -> list[tuple[str, Object, Object]]:
    """Statuses of indexes whose model is not there."""
    indexes, broken_indexes = read_indexes(observed.indexes)
    found = [
        ("VectorIndex", index.raw, without_model(index, observed.name, now).to_wire())
        for index in indexes
    ]
    for wrong in broken_indexes:
        status = broken(wrong.raw, wrong.message, now).to_wire()
        found.append(("VectorIndex", wrong.raw, status))
    return found


def _written(statuses: list[tuple[str, Object, Object]]) -> tuple[StatusWrite, ...]:
    """The statuses that differ from what is there."""
    return tuple(
        write_of(kind, raw, status)
        for kind, raw, status in statuses
        if status != (raw.get("status") or {})
    )


def _is_of(child: Object, uids: set[str]) -> bool:
    return any(is_owned(child, uid) for uid in uids)
