"""One decision over one model: a snapshot in, a plan out. No clock, no call, no memory."""

from __future__ import annotations

from datetime import datetime

from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Stage
from lockstep_operator.api.rollout import Supersede
from lockstep_operator.decide.context.context import ENDED, Draft
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
        scene = read(observed, settings, now)
    except Unreadable as error:
        status = unreadable(observed, error.problem, clock.text(now))
        return Plan(projections=_written([("EmbeddingModel", observed.model, status)]))
    if scene.model.deleting:
        status = terminating(scene).to_wire()
        return Plan(projections=_written([("EmbeddingModel", scene.model.raw, status)]))
    return _decide(Draft(scene))


def _decide(draft: Draft) -> Plan:
    handle_verbs(draft)
    to_create = follow(draft)
    if to_create is not None and not draft.changed():
        return _creation(draft, to_create)
    _move(draft)
    note_stable(draft)
    retain(draft)
    steer(draft)
    sweep(draft)
    trim_history(draft)
    write_records(draft)
    return _plan(draft)


def _move(draft: Draft) -> None:
    """Takes the candidate, and a release that was just promoted, as far as this pass can."""
    stable = draft.stable
    if stable is not None and stable.status.stage is Stage.FINALIZING:
        finalizing(draft, stable)
    elif stable is not None:
        serving(draft, stable)
    candidate = draft.candidate
    if candidate is None:
        return
    update_pause(draft, candidate)
    desired = draft.desired
    outdated = isinstance(desired, Desired) and not desired.is_within(candidate)
    restarts = draft.model.spec.rollout.supersede is Supersede.RESTART
    stop_at = _AFTER_THE_VERDICT if outdated and restarts else frozenset()
    advance(draft, candidate.name, stop_at=stop_at)


def _creation(draft: Draft, manifest: Object) -> Plan:
    """A plan that creates a release writes nothing else, unless that was refused before.

    Then the status must tell it first, or it would never be told.
    """
    name = manifest["metadata"]["name"]
    if draft.scene.refusal("EmbeddingRelease", name) is not None:
        note_stable(draft)
        retain(draft)
        write_records(draft)
        plan = _plan(draft)
        if plan.projections:
            return plan
    return Plan(releases=(manifest,), events=tuple(draft.events))


def _plan(draft: Draft) -> Plan:
    """Collects the pass. Nothing is made for a release that the pass itself ended."""
    over = {release.uid for release in draft.releases if release.status.stage in ENDED}
    records = [
        ("EmbeddingRelease", release.raw, release.status.to_wire()) for release in draft.changed()
    ]
    return Plan(
        records=_written(records),
        create=tuple(job for job in draft.create if not _is_of(job, over)),
        apply=tuple(child for child in draft.apply if not _is_of(child, over)),
        delete=tuple(draft.delete),
        projections=_written(_projections(_as_recorded(draft))),
        events=tuple(draft.events),
        measure=tuple(draft.measure),
        look_again_after=draft.look_again_after,
    )


def _as_recorded(draft: Draft) -> Draft:
    """The pass as the statuses may tell it: nothing of it, while a record cannot be written."""
    if draft.scene.refused_record is None:
        return draft
    resting = Draft(draft.scene)
    note_stable(resting)
    return resting


def _projections(draft: Draft) -> list[tuple[str, Object, Object]]:
    scene, model = draft.scene, draft.scene.model
    found = [("EmbeddingModel", model.raw, project_model(draft).to_wire())]
    for index in scene.indexes:
        found.append(("VectorIndex", index.raw, project_index(draft, index).to_wire()))
    for wrong in scene.broken_indexes:
        status = broken(wrong.raw, wrong.message, draft.now).to_wire()
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
