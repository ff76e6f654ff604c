"""The model as one sentence to the person on call: what happens, why, what serves, what to do."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import how_to_continue, is_held
from lockstep_operator.decide.releases.model import rolled_back
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.snapshot.observed import Refusal
from lockstep_operator.decide.snapshot.snapshot import Problem
from lockstep_operator.decide.stages.serving import after_promotion, has_failed
from lockstep_operator.decide.traffic import entry
from lockstep_operator.decide.traffic.steps import plan_of
from lockstep_operator.decide.traffic.traffic import selected_release, shares
from lockstep_operator.decide.vocabulary.formatting import training_short, training_text
from lockstep_operator.decide.vocabulary.hints import Verb, ask, raise_hold, unpause
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import short_name

# Gates, templates and deadlines are policy: a change of them is used, but starts nothing.
CHANGE_THE_SPEC = "Change `{}`, `spec.artifacts` or an index, and a new release starts at once."


@dataclass(frozen=True)
class Summary:
    """`reconciling` and `stalled` are the kstatus pair: it goes on by itself, or it does not."""

    phase: Phase
    reason: str
    message: str
    ready: bool = False
    reconciling: bool = False
    stalled: bool = False


def _change(context: ReconcileContext) -> str:
    return CHANGE_THE_SPEC.format(context.model.spec.origin_field)


def summarize(context: ReconcileContext) -> Summary:
    """The first of these that holds: trouble with the spec, a candidate, then what serves."""
    desired = context.desired
    if isinstance(desired, Problem) and not desired.waits:
        return _stalled(desired.reason, desired.message + ".", serving_sentence(context))
    refused = context.snapshot.refused_record
    if refused is not None:
        return _refused(context, refused)
    if context.candidate is not None:
        return _with_candidate(context, context.candidate)
    if context.conflicts:
        return _stalled(Reason.NAME_CONFLICT, f"{context.conflicts[0]}.", serving_sentence(context))
    found = _at_rest(context)
    refusals = context.snapshot.observed.refusals
    return _refused(context, refusals[0]) if refusals and not found.stalled else found


def _at_rest(context: ReconcileContext) -> Summary:
    desired, stable = context.desired, context.stable
    if stable is None and isinstance(desired, Problem):
        return Summary(Phase.PENDING, desired.reason, f"Waits: {desired.message}.")
    if stable is not None and is_asked(context, stable):
        return _served(context, stable)
    return _not_served(context)


def serving_sentence(context: ReconcileContext) -> str:
    """What answers users now."""
    selected = selected_release(context)
    release = next((r for r in context.releases if r.name == selected), None)
    if release is None:
        if context.stable is None:
            return "Nothing serves yet."
        return f"The entry point does not select {short_name(context.stable.name)} and is restored."
    short = short_name(release.name)
    pair = context.pairs.get(release.name)
    rest, share = shares(context)
    candidate = context.candidate
    if candidate is not None and share == 100 and candidate.name != release.name:
        return f"{short_name(candidate.name)} still serves all requests."
    if pair is None or not pair.serving:
        found = entry.selected(context)
        if found is not None and found.beside is not None and share:
            return f"{short} cannot answer: what comes is answered by {short_name(found.beside)}."
        if candidate is not None and share:
            told = f"{short} cannot answer its {rest}% of the requests"
            return f"{told}, {short_name(candidate.name)} answers {share}%."
        return f"{short} holds the entry point but cannot answer."
    if candidate is not None and share and candidate.name != release.name:
        return f"{short} serves {rest}% of the requests, {short_name(candidate.name)} {share}%."
    return f"{short} serves all requests."


def is_asked(context: ReconcileContext, stable: Release) -> bool:
    """Whether what the spec asks for is what serves."""
    desired = context.desired
    if isinstance(desired, Problem):
        return True
    return desired.is_release(stable) or desired.is_within(stable)


def _with_candidate(context: ReconcileContext, candidate: Release) -> Summary:
    short, status = short_name(candidate.name), candidate.status
    note = context.notes.get(candidate.name)
    reason = note.reason if note else str(status.stage)
    told = f"{short} {note.message if note else f'entered {status.stage}'}."
    if status.paused_at is not None and is_held(context, candidate):
        told = f"{short} is paused by a person. It {told.partition(' ')[2]}"
    found = training_text(status.training)
    parts = [
        told,
        *_refusals(context, told),
        *([found] if found else []),
        serving_sentence(context),
    ]
    parts += [found] if (found := _of_stable(context)) else []
    if context.change_waits:
        parts.append(f"Another change of the spec is seen: {context.change_waits}.")
    # No full stop after a command: people copy what stands there. A semicolon is the shell's own.
    message = " ".join([*parts, "; ".join(_candidate_commands(context, candidate))]).strip()
    if status.paused_at is not None:
        return Summary(Phase.PAUSED, reason, message, reconciling=True)
    stable = context.stable
    broken = stable is not None and not upkeep(context, stable).serving
    phase = Phase.DEGRADED if broken else Phase.PROGRESSING
    return Summary(phase, reason, message, reconciling=True)


def _candidate_commands(context: ReconcileContext, candidate: Release) -> list[str]:
    """What continues the candidate, the outermost hold first, and what stops it."""
    model, name, status = context.model, candidate.name, candidate.status
    ahead = f"Continue: {ask(model, Verb.PROMOTE, name)}"
    if status.stage is Stage.ROLLING_BACK:
        down = context.stable is not None and not upkeep(context, context.stable).serving
        return [f"Or settle for {short_name(name)}: {ask(model, Verb.PROMOTE, name)}"] * down
    found = []
    if status.paused_at is not None and is_held(context, candidate):
        found.append(f"Continue: {how_to_continue(context, candidate)}")
    elif status.pause_reason in (Reason.STEP_PAUSE, Reason.APPROVAL_REQUIRED):
        found.append(ahead)
    elif status.pause_reason == Reason.HELD_AT_STEP and status.step is not None:
        at = status.step.index + 1
        last = at > len(plan_of(context).steps)
        found.append(f"Continue: {raise_hold(model, None if last else at)}")
    elif status.pause_reason == Reason.GATE_INCONCLUSIVE:
        found += [ahead, f"Measure again: {ask(model, Verb.RETRY, name)}"]
    if status.stage is Stage.CANARY and context.stable is None:
        return found  # it is all that serves
    return [*found, f"Stop: {ask(model, Verb.ABORT, name)}"]


def _served(context: ReconcileContext, stable: Release) -> Summary:
    """The stable release is what the spec asks: is it whole, and does the entry select it?"""
    short, pair = short_name(stable.name), upkeep(context, stable)
    if stable.status.stage is Stage.FINALIZING:
        message = f"{short} has the entry point; what it replaced is kept for a rollback."
        return Summary(Phase.PROGRESSING, Reason.FINALIZING, message, reconciling=True)
    serving = serving_sentence(context)
    selected = selected_release(context) == stable.name
    if pair.whole and selected:
        if stable.status.watch is not None:
            return _watched(context, stable, serving)
        message = " ".join([serving, *_side_notes(context, stable)])
        return Summary(Phase.HEALTHY, Reason.HEALTHY, message, ready=True)
    lacking = pair.told()
    if pair.serving and pair.rolling and selected:
        message = f"{serving} Its pods are changed in place: {lacking}."
        return Summary(Phase.PROGRESSING, Reason.ROLLING_IN_PLACE, message, reconciling=True)
    reason = Reason.PODS_NOT_READY if lacking else Reason.ENTRY_MISSING
    message = " ".join([serving, *([f"{lacking}."] if lacking else []), *_way_back(context)])
    return Summary(Phase.DEGRADED, reason, message)


def _of_stable(context: ReconcileContext) -> str:
    """What the person must know of a stable release that is judged, beside what is on its way."""
    stable = context.stable
    if stable is None or stable.status.watch is None:
        return ""
    if stable.status.watch.verdict is None:
        return f"{short_name(stable.name)} is still judged on its requests."
    return after_promotion(stable) if has_failed(stable) else ""


def _watched(context: ReconcileContext, stable: Release, serving: str) -> Summary:
    """It answers all requests, and is judged on them or was."""
    model, name, asked = context.model, stable.name, context.model.spec.rollout.after_promotion
    verdict = stable.status.watch.verdict if stable.status.watch else None
    parts = [serving, *_side_notes(context, stable)]
    settle = f"Settle for it: {ask(model, Verb.PROMOTE, name)}"
    again = f"Measure again: {ask(model, Verb.RETRY, name)}"
    if verdict is None:
        gates = ", ".join(asked.gates) if asked else ""
        trouble = f"; {context.watch_trouble}" if context.watch_trouble else ""
        back = [short_name(kept.name) for kept in context.retained[:1]]
        way = f", and {back[0]} returns if it fails" if back else ""
        parts.append(f"It is judged on them by {gates}{way}{trouble}.")
        message = " ".join([*parts, settle])
        return Summary(Phase.PROGRESSING, Reason.WATCHED, message, reconciling=True)
    if verdict == Verdict.FAIL:
        parts = [after_promotion(stable), f"It stays: {_why_it_stays(context, stable)}.", serving]
        back = [f"{found};" for found in _way_back(context)]
        return _stalled(Reason.GATE_FAILED, *parts, _change(context), *back, f"{settle}; {again}")
    if verdict == Verdict.INCONCLUSIVE:
        message = " ".join([*parts, after_promotion(stable), f"{settle}; {again}"])
        return Summary(Phase.HEALTHY, Reason.GATE_INCONCLUSIVE, message, ready=True)
    return Summary(Phase.HEALTHY, Reason.HEALTHY, " ".join(parts), ready=True)


def _why_it_stays(context: ReconcileContext, stable: Release) -> str:
    kept = next((r for r in context.retained if not has_failed(r)), None)
    if stable.status.watch is not None and stable.status.watch.returned_at is not None:
        return "the way back ended, and is not begun again by itself"
    if kept is None:
        return "no release is kept whole to go back to"
    return f"{short_name(kept.name)} is not whole to go back to"


def _side_notes(context: ReconcileContext, stable: Release) -> list[str]:
    live = {index.name for index in context.snapshot.indexes}
    deleted = [index.name for index in stable.spec.indexes if index.name not in live]
    notes = []
    if deleted:
        notes.append(f"It still carries {', '.join(deleted)}, whose VectorIndex was deleted.")
    if found := training_short(stable.status.training):
        notes.append(f"Its training told {found}: see `status.training` of {stable.name}.")
    return notes


def _way_back(context: ReconcileContext) -> list[str]:
    """A rollback, where an earlier release is whole."""
    for release in context.retained:
        if upkeep(context, release).whole:
            short = short_name(release.name)
            return [f"Go back to {short}: {ask(context.model, Verb.ROLLBACK, release.name)}"]
    return []


def _not_served(context: ReconcileContext) -> Summary:
    """The spec asks for something else than what serves, and nothing is on its way."""
    newest, serving = context.newest, serving_sentence(context)
    failed = context.stable is not None and has_failed(context.stable)
    if found := _of_stable(context):
        serving = f"{serving} {found}"
    if context.change_waits and context.model.spec.rollout.paused:
        message = (
            f"A change waits: {context.change_waits}. {serving} Start: {unpause(context.model)}"
        )
        phase = Phase.DEGRADED if failed else Phase.PAUSED
        return Summary(phase, Reason.PAUSED, message, reconciling=True)
    if newest is not None and newest.status.stage is Stage.FAILED:
        return _failed(context, newest, serving)
    if context.change_waits:
        message = f"A change waits: {context.change_waits}. {serving}"
        phase = Phase.DEGRADED if failed else Phase.PROGRESSING
        return Summary(phase, Reason.CHANGE_WAITS, message, reconciling=True)
    if isinstance(context.desired, Desired):
        gone_back = rolled_back(context, context.desired)
        if gone_back is not None:
            return _rolled_back(context, gone_back, serving)
        if newest is not None and newest.status.outcome == Outcome.ABORTED:
            told = f"{short_name(newest.name)}, which the spec asks for, was aborted."
            again = f"Or start it again: {ask(context.model, Verb.RETRY, newest.name)}"
            return _stalled(Reason.ABORTED, told, serving, _change(context), again)
    message = f"The spec changed: a new release is made. {serving}"
    return Summary(Phase.PROGRESSING, Reason.CHANGE_WAITS, message, reconciling=True)


def _failed(context: ReconcileContext, newest: Release, serving: str) -> Summary:
    failure, short = newest.status.last_failure, short_name(newest.name)
    reason = failure.reason if failure else Reason.RELEASE_FAILED
    told = f"{short} failed at {newest.status.failed_stage}: {reason}"
    if failure and failure.message:
        told += f": {failure.message}"
    waits = (
        f"Another change of the spec is seen: {context.change_waits}."
        if context.change_waits
        else ""
    )
    again = f"Or mend the cause and try again: {ask(context.model, Verb.RETRY, newest.name)}"
    found = training_text(newest.status.training)
    return _stalled(reason, f"{told}.", found, serving, waits, _change(context), again)


def _rolled_back(context: ReconcileContext, release: Release, serving: str) -> Summary:
    short = short_name(release.name)
    reason, told = Reason.ROLLED_BACK, f"{short}, which the spec asks for, was rolled back."
    keep = "Make it lasting: apply the spec of the release that serves."
    if has_failed(release):
        reason, told = Reason.GATE_FAILED, f"{told} {after_promotion(release)}"
        keep = _change(context)
    if release.status.stage is not Stage.RETAINED:
        return _stalled(reason, told, serving, keep)
    forward = f"Go forward again: {ask(context.model, Verb.ROLLBACK, release.name)}"
    return _stalled(reason, told, serving, keep, forward)


def _refusals(context: ReconcileContext, told: str) -> list[str]:
    """What the API server refused, where the sentence of the candidate does not say it."""
    untold = (r for r in context.snapshot.observed.refusals if r.message not in told)
    return [f"{_refusal_sentence(found)} It is tried again." for found in untold][:1]


def _refusal_sentence(refusal: Refusal) -> str:
    return f"The API server refused {refusal.kind} {refusal.name}: {refusal.message.rstrip('.')}."


def _refused(context: ReconcileContext, refusal: Refusal) -> Summary:
    message = f"{_refusal_sentence(refusal)} {serving_sentence(context)} It is tried again."
    return Summary(Phase.DEGRADED, Reason.WRITE_REFUSED, message, reconciling=True)


def _stalled(reason: str, *parts: str) -> Summary:
    message = " ".join(part for part in parts if part)
    return Summary(Phase.DEGRADED, reason, message, stalled=True)
