"""A release is on its way: what it does, what serves meanwhile, what continues or stops it."""

from __future__ import annotations

from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import how_to_continue, is_held
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.status.sentences import refusal_sentence
from lockstep_operator.decide.status.telling import tell
from lockstep_operator.decide.traffic.steps import plan_of
from lockstep_operator.decide.vocabulary.formatting import training_text
from lockstep_operator.decide.vocabulary.hints import Verb, ask, raise_hold
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name


def with_candidate(context: ReconcileContext, candidate: Release) -> Summary:
    short, status = short_name(candidate.name), candidate.status
    note = context.notes.get(candidate.name)
    reason = note.reason if note else str(status.stage)
    sentence = f"{short} {note.message if note else f'entered {status.stage}'}."
    if status.paused_at is not None and is_held(context, candidate):
        sentence = f"{short} is paused by a person. It {sentence.partition(' ')[2]}"
    doing = [sentence, *_refusals(context, sentence)]
    if _is_unwatched(candidate):
        doing.append(f"No gate measures {short} while it waits.")
    if context.change_waits:
        doing.append(f"Another change of the spec is seen: {context.change_waits}.")
    message = tell(
        context,
        doing=doing,
        history=[training_text(status.training)],
        commands=_candidate_commands(context, candidate),
    )
    stable = context.stable
    broken = stable is not None and not health_of(context, stable).serving
    calm = Phase.PROGRESSING if status.paused_at is None else Phase.PAUSED
    return Summary(Phase.DEGRADED if broken else calm, reason, message, reconciling=True)


def _is_unwatched(candidate: Release) -> bool:
    """Whether it answers requests, and only a person's word ends its step."""
    status = candidate.status
    answers = status.weights is not None and (status.weights.asked or status.weights.achieved) > 0
    return status.stage is Stage.CANARY and status.paused_at is not None and answers


def _candidate_commands(context: ReconcileContext, candidate: Release) -> list[str]:
    """What continues the candidate, the outermost hold first, and what stops it."""
    model, name, status = context.model, candidate.name, candidate.status
    ahead = f"Continue: {ask(model, Verb.PROMOTE, name)}"
    if status.stage is Stage.ROLLING_BACK:
        down = context.stable is not None and not health_of(context, context.stable).serving
        return [f"Or settle for {short_name(name)}: {ask(model, Verb.PROMOTE, name)}"] * down
    commands = []
    if status.paused_at is not None and is_held(context, candidate):
        commands.append(f"Continue: {how_to_continue(context, candidate)}")
    elif status.pause_reason in (Reason.STEP_PAUSE, Reason.APPROVAL_REQUIRED):
        commands.append(ahead)
    elif status.pause_reason == Reason.HELD_AT_STEP and status.step is not None:
        at = status.step.index + 1
        last = at > len(plan_of(context).steps)
        commands.append(f"Continue: {raise_hold(model, None if last else at)}")
    elif status.pause_reason == Reason.GATE_INCONCLUSIVE:
        commands += [ahead, f"Measure again: {ask(model, Verb.RETRY, name)}"]
    if status.stage is Stage.CANARY and context.stable is None:
        return commands  # it is all that serves
    return [*commands, f"Stop: {ask(model, Verb.ABORT, name)}"]


def _refusals(context: ReconcileContext, sentence: str) -> list[str]:
    """What the API server refused, where the sentence of the candidate leaves it out."""
    unmentioned = (r for r in context.snapshot.observed.refusals if r.message not in sentence)
    return [f"{refusal_sentence(refusal)} It is tried again." for refusal in unmentioned][:1]
