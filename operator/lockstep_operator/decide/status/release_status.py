"""The part of a release's record that follows from the rest of it: message and conditions."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import ConditionStatus, GateVerdict
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import Note
from lockstep_operator.decide.gates import of_then, overall
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.stages.watched import has_failed
from lockstep_operator.decide.status.kstatus import kstatus
from lockstep_operator.decide.status.stored import damage_note
from lockstep_operator.decide.vocabulary.conditions import State, conditions
from lockstep_operator.decide.vocabulary.formatting import UNMEASURED
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason, Word
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name


def describe_releases(context: ReconcileContext) -> None:
    """Turns the notes of this pass into each release's message and conditions.

    A release without a note ended earlier: its last message still holds.
    """
    _note_stable(context)
    _note_retained(context)
    for name, note in context.notes.items():
        release = context.release(name)
        message = f"{short_name(name)} {note.message}"
        context.describe(
            name,
            message=message,
            conditions=conditions(
                _states(release, note, message),
                release.status.conditions,
                release.generation,
                context.now,
            ),
            observed_generation=release.generation,
        )


def _note_stable(context: ReconcileContext) -> None:
    stable = context.stable
    if stable is None or stable.status.stage is not Stage.SERVING:
        return
    health = health_of(context, stable)
    if health.ready:
        said = f"answers all requests{damage_note(stable)}"
        context.say(stable.name, Stage.SERVING, said, ready=True)
        return
    reason = Reason.ROLLING_IN_PLACE if health.rolling else Reason.PODS_NOT_READY
    context.say(stable.name, reason, f"serves, but {health.sentence()}{damage_note(stable)}")


def _note_retained(context: ReconcileContext) -> None:
    for release in context.retained:
        health = health_of(context, release)
        but = f", but not whole: {health.sentence()}" if health.missing else ""
        reason, why = _why_it_is_kept(release)
        message = f"{why}{but}{damage_note(release)}"
        context.say(release.name, reason, message, ready=health.ready)


def _why_it_is_kept(release: Release) -> tuple[Word, str]:
    if release.status.outcome != Outcome.ROLLED_BACK:
        return Stage.RETAINED, "is kept for a rollback"
    by = " as its gates failed after its promotion" if has_failed(release) else ""
    return Reason.ROLLED_BACK, f"was rolled back{by}, and is kept to go forward again"


def _states(release: Release, note: Note, message: str) -> list[State]:
    stage = release.status.stage
    goes_on = facts_of(stage).on_its_way or stage is Stage.FINALIZING
    states = kstatus(
        note.reason,
        message,
        ready=note.ready,
        reconciling=goes_on and not note.stalled,
        stalled=note.stalled,
    )
    gates = gates_state(release)
    return states if gates is None else [*states, gates]


def gates_shown(release: Release) -> list[GateVerdict]:
    """Its verdicts. Once it is promoted, a comparison in them is of the past."""
    verdicts = release.status.gates or []
    return of_then(verdicts) if release.status.promoted_at is not None else verdicts


def gates_state(release: Release) -> State | None:
    """The verdict of the gates on a release; None before it was measured."""
    status = release.status
    if status.gates is None and status.gates_passed_at is None:
        return None
    verdicts = gates_shown(release)
    lines = "; ".join(f"{verdict.name}: {verdict.line}" for verdict in verdicts) or "model reused"
    short = short_name(release.name)
    if release.spec.held_out is None and not verdicts:
        message = f"{short}: {UNMEASURED}"
        return State("GatesPassed", ConditionStatus.UNKNOWN, Reason.GATES_NOT_JUDGED, message)
    waits = status.pause_reason == Reason.GATE_INCONCLUSIVE
    failed = overall(verdicts) == "Fail"
    if status.gates_passed_at is not None and not waits and not failed:
        waived = bool(verdicts) and overall(verdicts) != "Pass"
        reason = Reason.GATES_WAIVED if waived else Reason.GATES_PASSED
        return State("GatesPassed", ConditionStatus.TRUE, reason, f"{short}: {lines}")
    failed = failed or status.stage is Stage.FAILED
    reason = Reason.GATE_FAILED if failed else Reason.GATE_INCONCLUSIVE
    return State("GatesPassed", ConditionStatus.FALSE, reason, f"{short}: {lines}")
