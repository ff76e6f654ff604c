"""One decision over one model: a snapshot in, a plan out. No clock, no call, no memory."""

from __future__ import annotations

from datetime import datetime

from lockstep_operator.api.objects import Object
from lockstep_operator.api.rollout import Supersede
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import update_pause
from lockstep_operator.decide.context.plan import Plan, StatusWrite
from lockstep_operator.decide.policies.rules import plan_policies
from lockstep_operator.decide.releases.checks import plan_checks, read_checks
from lockstep_operator.decide.releases.drift_requests import answer_drift
from lockstep_operator.decide.releases.model import follow
from lockstep_operator.decide.releases.retention import plan_removals, retain_replaced, retire
from lockstep_operator.decide.releases.verbs import handle_verbs
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.snapshot.observed import Observed, Settings
from lockstep_operator.decide.snapshot.snapshot import Unreadable, is_owned, read, read_indexes
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.stages.advance import advance, look_at
from lockstep_operator.decide.status.index_status import broken, project_index, without_model
from lockstep_operator.decide.status.model_status import (
    project_model,
    terminating,
    unreadable,
    write_of,
)
from lockstep_operator.decide.status.policy_status import policies_without_model, project_policies
from lockstep_operator.decide.status.release_status import describe_releases
from lockstep_operator.decide.traffic.traffic import plan_traffic
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.workloads.children import plan_children


def decide(observed: Observed, settings: Settings, now: datetime) -> Plan:
    """What to write so that the model comes one step closer to its spec.

    A plan over a settled model is empty. Deciding again over what a plan wrote, or over any part
    of it after a crash, goes on from there: a record is written before its deed.
    """
    if observed.model is None:
        moment = clock.text(now)
        orphans = [*_orphaned(observed, moment), *policies_without_model(observed, moment)]
        return Plan(projections=_written(orphans))
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
    to_create = _move_records(context)
    if to_create is not None:
        return _creation(context, to_create)
    return _plan(context)


def _move_records(context: ReconcileContext) -> Object | None:
    """First phase: what people ask, which releases exist, and how far each comes in this pass.

    Returns an EmbeddingRelease to create, in a pass that changes no record.
    """
    read_checks(context)
    handle_verbs(context)
    to_create = follow(context) or answer_drift(context)
    if to_create is not None and not context.changed():
        return to_create
    retain_replaced(context)  # left over by a crash between the two writes of a switch
    _advance_stable(context)
    _advance_candidate(context)
    retain_replaced(context)  # by a switch that was read back in this pass
    retire(context)
    return None


def _advance_stable(context: ReconcileContext) -> None:
    if context.stable is not None:
        look_at(context, context.stable.name)


def _advance_candidate(context: ReconcileContext) -> None:
    candidate = context.candidate
    if candidate is None:
        return
    update_pause(context, candidate)
    desired = context.desired
    outdated = isinstance(desired, Desired) and not desired.is_within(candidate)
    restarts = context.model.spec.rollout.supersede is Supersede.RESTART
    advance(context, candidate.name, begins_work=not (outdated and restarts))


def _creation(context: ReconcileContext, manifest: Object) -> Plan:
    """A plan that creates a release writes nothing else, unless that was refused before.

    Then the status reports that refusal first: it would never be reported otherwise.
    """
    if context.snapshot.refusal("EmbeddingRelease", manifest["metadata"]["name"]) is not None:
        retire(context)
        plan = _plan(context)
        if plan.projections:
            return plan
    return Plan(releases=(manifest,), events=tuple(context.events))


def _plan(context: ReconcileContext) -> Plan:
    """Second phase: children, traffic and removals, once, by the final records. Third: statuses."""
    plan_children(context)
    plan_checks(context)
    plan_traffic(context)
    plan_removals(context)
    plan_policies(context)
    describe_releases(context)
    shown = _as_recorded(context)
    records = [
        ("EmbeddingRelease", release.raw, release.status.to_wire()) for release in context.changed()
    ]
    return Plan(
        records=_written(records),
        create=_of_living(context, context.create),
        apply=tuple(context.apply),
        delete=tuple(context.delete),
        projections=_written([*_projections(shown), *project_policies(shown)]),
        events=tuple(context.events),
        measure=tuple(context.measure),
        watch=tuple(context.watch),
        look_again_after=context.look_again_after,
    )


def _of_living(context: ReconcileContext, jobs: list[Object]) -> tuple[Object, ...]:
    """Nothing is created for a release that this pass ended."""
    ended = [r.uid for r in context.releases if facts_of(r.status.stage).ended]
    return tuple(job for job in jobs if not any(is_owned(job, uid) for uid in ended))


def _as_recorded(context: ReconcileContext) -> ReconcileContext:
    """What the statuses may report of this pass: nothing, while a record cannot be written."""
    refused = context.snapshot.refused_record is not None
    return ReconcileContext(context.snapshot) if refused else context


def _projections(context: ReconcileContext) -> list[tuple[str, Object, Object]]:
    snapshot, model = context.snapshot, context.snapshot.model
    statuses = [("EmbeddingModel", model.raw, project_model(context).to_wire())]
    for index in snapshot.indexes:
        statuses.append(("VectorIndex", index.raw, project_index(context, index).to_wire()))
    for wrong in snapshot.broken_indexes:
        status = broken(wrong.raw, wrong.message, context.now).to_wire()
        statuses.append(("VectorIndex", wrong.raw, status))
    return statuses


def _orphaned(observed: Observed, now: str) -> list[tuple[str, Object, Object]]:
    """Statuses of indexes whose model is not there."""
    indexes, broken_indexes = read_indexes(observed.indexes)
    statuses = [
        ("VectorIndex", index.raw, without_model(index, observed.name, now).to_wire())
        for index in indexes
    ]
    for wrong in broken_indexes:
        status = broken(wrong.raw, wrong.message, now).to_wire()
        statuses.append(("VectorIndex", wrong.raw, status))
    return statuses


def _written(statuses: list[tuple[str, Object, Object]]) -> tuple[StatusWrite, ...]:
    """The statuses that differ from what is there."""
    return tuple(
        write_of(kind, raw, status)
        for kind, raw, status in statuses
        if status != (raw.get("status") or {})
    )
