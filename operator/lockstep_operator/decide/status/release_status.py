"""The part of a release's record that follows from the rest of it: message and conditions."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import ConditionStatus
from lockstep_operator.decide.context.context import UNFINISHED, Note, ReconcileContext
from lockstep_operator.decide.gates import overall
from lockstep_operator.decide.vocabulary.conditions import State, conditions, true_or_false
from lockstep_operator.decide.vocabulary.formatting import UNMEASURED
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import short_name


def note_stable(context: ReconcileContext) -> None:
    """Keeps the release that serves as it should be, and says how it is."""
    stable = context.stable
    if stable is None:
        return
    pair = upkeep(context, stable)
    if stable.status.stage is not Stage.SERVING:
        return
    if pair.whole:
        context.say(stable.name, Reason.SERVING, "answers all requests", ready=True)
        return
    reason = Reason.ROLLING_IN_PLACE if pair.rolling else Reason.PODS_NOT_READY
    context.say(stable.name, reason, f"serves, but {pair.told()}", ready=False)


def write_records(context: ReconcileContext) -> None:
    """Turns the notes of this pass into each release's message and conditions.

    A release without a note ended earlier: what it said last still holds.
    """
    for name, note in context.notes.items():
        release = context.release(name)
        message = f"{short_name(name)} {note.message}"
        found = conditions(
            _states(release, note, message),
            release.status.conditions,
            release.generation,
            context.now,
        )
        context.change(
            name, message=message, conditions=found, observed_generation=release.generation
        )


def _states(release: Release, note: Note, message: str) -> list[State]:
    found = [true_or_false("Ready", note.ready, note.reason, message)]
    if note.stalled:
        found.append(true_or_false("Stalled", True, note.reason, message))
    elif release.status.stage in UNFINISHED or release.status.stage is Stage.FINALIZING:
        found.append(true_or_false("Reconciling", True, note.reason, message))
    gates = gates_state(release)
    return found if gates is None else [*found, gates]


def gates_state(release: Release) -> State | None:
    """What the gates said of a release; None before it was measured."""
    status = release.status
    if status.gates is None and status.gates_passed_at is None:
        return None
    verdicts = status.gates or []
    told = "; ".join(f"{found.name}: {found.line}" for found in verdicts) or "model reused"
    short = short_name(release.name)
    if release.spec.held_out is None and not verdicts:
        told = f"{short}: {UNMEASURED}"
        return State("GatesPassed", ConditionStatus.UNKNOWN, Reason.GATES_NOT_JUDGED, told)
    waits = status.pause_reason == Reason.GATE_INCONCLUSIVE
    failed = overall(verdicts) == "Fail"
    if status.gates_passed_at is not None and not waits and not failed:
        waived = bool(verdicts) and overall(verdicts) != "Pass"
        reason = Reason.GATES_WAIVED if waived else Reason.GATES_PASSED
        return State("GatesPassed", ConditionStatus.TRUE, reason, f"{short}: {told}")
    failed = failed or status.stage is Stage.FAILED
    reason = Reason.GATE_FAILED if failed else Reason.GATE_INCONCLUSIVE
    return State("GatesPassed", ConditionStatus.FALSE, reason, f"{short}: {told}")
