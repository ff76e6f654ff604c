"""Verbs: annotations whose value is the release they mean, each acted on or refused once.

`lastHandled` records the value. After a crash between a verb's effect and that record the verb is
read again, so each looks at the state first and finds its effect there.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.gate_rows import GatePhase
from lockstep_operator.api.model import HandledVerb
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.api.traffic_records import Watch
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import resume
from lockstep_operator.decide.context.stored import is_checked
from lockstep_operator.decide.releases.remaking import at_risk, make_again, not_whole, remade
from lockstep_operator.decide.releases.retries import fresh, must_measure, tried_again
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.stages.apply import apply
from lockstep_operator.decide.stages.ending import give_up
from lockstep_operator.decide.stages.returning import return_to, stop_return
from lockstep_operator.decide.stages.rolling_back import keep_traffic
from lockstep_operator.decide.traffic.steps import describe, plan_of
from lockstep_operator.decide.vocabulary.hints import Verb, annotation, number_of
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import release_name, short_name

VERB_LIMIT, VALUE_LIMIT, OUTCOME_LIMIT = 32, 128, 512
# Annotations that are no verb and are told: a status has a bound.
UNKNOWN_VERBS = 8
# What a verb answers: the outcome, and the reason of its Event. None: not yet, ask again.
Answer = tuple[str, Reason] | None


def handle_verbs(context: ReconcileContext) -> None:
    """Acts on each annotation whose value was not handled yet, the most careful verb first."""
    _refuse_unknown(context)
    for verb, act in _VERBS.items():
        value = context.model.annotations.get(annotation(verb), "")[:VALUE_LIMIT]
        known = context.handled.get(verb)
        if not value or (known is not None and known.value == value):
            continue
        answer = _answer(context, value, act)
        if answer is None:
            continue
        outcome, reason = answer
        context.handled[verb] = HandledVerb(
            verb=verb, value=value, outcome=outcome[:OUTCOME_LIMIT], at=context.now
        )
        warning = reason is Reason.VERB_REFUSED
        context.event(reason, f"{verb}={value}: {outcome}", warning=warning)


def _refuse_unknown(context: ReconcileContext) -> None:
    """Tells of annotations that are no verb, as a mistyped one: nothing else would."""
    annotations, domain = context.model.annotations, f"{GROUP}/"
    keys = sorted(key for key in annotations if key.startswith(domain))
    names = {key.removeprefix(domain)[:VERB_LIMIT]: key for key in keys}
    for gone in [name for name in context.handled if name not in {*Verb, *names}]:
        del context.handled[gone]
    for name in [name for name in names if name not in set(Verb)][:UNKNOWN_VERBS]:
        value, known = annotations[names[name]][:VALUE_LIMIT], context.handled.get(name)
        if known is not None and known.value == value:
            continue
        near = get_close_matches(name, list(Verb), n=1)
        meant = f"; did you mean {annotation(Verb(near[0]))}?" if near else ""
        refusal = f"refused: there is no verb {name}, only {', '.join(Verb)}{meant}"
        context.handled[name] = HandledVerb(verb=name, value=value, outcome=refusal, at=context.now)
        context.event(Reason.VERB_REFUSED, f"{name}={value}: {refusal}", warning=True)


def _answer(
    context: ReconcileContext, value: str, act: Callable[[ReconcileContext, Release], Answer]
) -> Answer:
    number = number_of(value, context.model.name)
    if number is None:
        return _refused(f"the value must be a release of {context.model.name}, such as r1")
    name = release_name(context.model.name, number)
    release = next((r for r in context.releases if r.name == name), None)
    if release is None:
        return _refused(f"there is no release r{number}")
    return act(context, release)


def _abort(context: ReconcileContext, release: Release) -> Answer:
    stage, short = release.status.stage, short_name(release.name)
    if stage is Stage.PROMOTING:
        return _abort_promoting(context, release)
    if stage is Stage.ROLLING_BACK:
        return f"accepted: {short} is being aborted already", Reason.ABORTED
    if stage is Stage.CANARY and context.stable is None:
        return _refused(f"{short} is all that serves: the release beside it is gone")
    if facts_of(stage).on_its_way:
        message = "was aborted by a person"
        ended = give_up(context, release, Outcome.ABORTED, Reason.ABORTED, message)
        after = "" if ended else ", and gives its traffic back"
        return f"accepted: {short} is aborted{after}", Reason.ABORTED
    if context.stable is not None and release.name == context.stable.name:
        if not context.retained:
            return _refused(f"{short} serves and no earlier release is kept to go back to")
        return _return_to(context, context.retained[0])
    return _refused(f"{short} is {stage}: there is nothing to abort")


def _abort_promoting(context: ReconcileContext, release: Release) -> Answer:
    short = short_name(release.name)
    if release.status.promoted_at is not None:
        if not stop_return(context, release):
            return None  # the switch is being read back; then it is stable, and abort means that
        return f"accepted: {short} stays a kept release", Reason.ABORTED
    if context.stable is None:
        return _refused(f"{short} is being promoted and nothing else can serve")
    message = "was aborted while being promoted"
    give_up(context, release, Outcome.ABORTED, Reason.ABORTED, message)
    return f"accepted: {short} is aborted, the entry point stays with stable", Reason.ABORTED


def _rollback(context: ReconcileContext, release: Release) -> Answer:
    stage, short = release.status.stage, short_name(release.name)
    candidate = context.candidate
    if facts_of(stage).serves:
        if candidate is None:
            return f"accepted: {short} serves already", Reason.ROLLBACK_REQUESTED
        if not _give_up(context, candidate, f"for a rollback to {short}"):
            return None
        outcome = f"accepted: {short} serves already, {short_name(candidate.name)} is aborted"
        return outcome, Reason.ROLLBACK_REQUESTED
    if stage is Stage.PROMOTING and release.status.promoted_at is not None:
        return f"accepted: the entry point is moving to {short}", Reason.ROLLBACK_REQUESTED
    if stage is not Stage.RETAINED:
        return _refused(
            f"{short} is {stage or 'new'} and not kept whole: apply its spec again, its model is"
            " reused where it passed its gates"
        )
    if candidate is not None and not _give_up(context, candidate, f"for a rollback to {short}"):
        return None
    return _return_to(context, release)


def _give_up(context: ReconcileContext, candidate: Release, why: str) -> bool:
    """Aborts the candidate; False while its entry point must be brought back first."""
    if candidate.status.promoted_at is not None:
        return stop_return(context, candidate)
    return give_up(context, candidate, Outcome.ABORTED, Reason.ABORTED, f"was aborted {why}")


def _return_to(context: ReconcileContext, release: Release) -> Answer:
    short, health = short_name(release.name), health_of(context, release)
    if not health.ready:
        return _refused(not_whole(context, release, health))
    return_to(context, release)
    risk = at_risk(release)
    return f"accepted: the entry point moves to {short}{risk}", Reason.ROLLBACK_REQUESTED


def _retry(context: ReconcileContext, release: Release) -> Answer:
    status, short = release.status, short_name(release.name)
    if status.pause_reason == Reason.GATE_INCONCLUSIVE:
        if status.step is not None and status.stage is Stage.CANARY:
            # Another analysis: what was measured for the one before does not count.
            anew = status.step.replace(started_at=context.now)
            context.change(release.name, step=anew, gates=_offline(context, release))
        else:
            anew_attempts = fresh(release, Stage.EVALUATING)
            context.change(release.name, evaluation=None, attempts=anew_attempts)
        resume(context, release.name)
        told = f"accepted: {short} is tried again from {status.failed_stage or status.stage}"
        return told, Reason.RETRY_REQUESTED
    if status.damaged and is_checked(release):
        return make_again(context, release)
    watch = status.watch
    if status.stage is Stage.SERVING and watch is not None and watch.verdict:
        if not _stays(context):
            return _refused(f"another release takes the place of {short}")
        # Another analysis: what was measured for the one before does not count.
        again = Watch(started_at=context.now, replaced=watch.replaced)
        context.change(release.name, watch=again, gates=_offline(context, release))
        return f"accepted: {short} is judged anew", Reason.RETRY_REQUESTED
    return _retry_ended(context, release)


def _retry_ended(context: ReconcileContext, release: Release) -> Answer:
    """What failed or was aborted: from the stage where it ended, or that makes what it lost."""
    status, short = release.status, short_name(release.name)
    aborted = status.stage is Stage.SUPERSEDED and status.outcome == Outcome.ABORTED
    if not (status.stage is Stage.FAILED or aborted) or status.failed_stage is None:
        return _refused(
            f"{short} is {status.stage or 'new'}: only what failed or was aborted is retried"
        )
    newest = context.newest
    if newest is not None and newest.name != release.name:
        return _refused(f"{short} is not the newest release: {short_name(newest.name)} is")
    if context.candidate is not None:
        return _refused(f"{short_name(context.candidate.name)} is on its way: wait, or abort it")
    lost = remade(release)
    if lost is not None:
        apply(context, release.name, tried_again(*lost))
        what = ", ".join(damaged.what for damaged in status.damaged or ())
        told = f"accepted: {short} is tried again from {lost[0]}, which makes its {what} again"
        return told, Reason.RETRY_REQUESTED
    fields: dict[str, object] = {"attempts": fresh(release, status.failed_stage)}
    if status.failed_stage is Stage.EVALUATING and must_measure(context, release):
        fields["evaluation"] = None
    failed_at = facts_of(status.failed_stage)
    if failed_at.may_take_share:
        fields["gates"] = _offline(context, release)
    assert failed_at.retry_from is not None
    apply(context, release.name, tried_again(failed_at.retry_from, fields))
    told = f"accepted: {short} is tried again from {status.failed_stage}"
    return told, Reason.RETRY_REQUESTED


def _offline(context: ReconcileContext, release: Release) -> list[GateVerdict] | None:
    """The verdicts that stand: what was measured live is measured anew."""
    live = {gate.name for gate in context.model.spec.rollout.gates if gate.phase is GatePhase.LIVE}
    return [verdict for verdict in release.status.gates or () if verdict.name not in live] or None


def _stays(context: ReconcileContext) -> bool:
    """Whether stable stays where it is: a kept release that takes its place is stopped, if it can
    be."""
    candidate = context.candidate
    returns = candidate is not None and candidate.status.promoted_at is not None
    return candidate is None or not returns or stop_return(context, candidate)


def _promote(context: ReconcileContext, release: Release) -> Answer:
    short, status = short_name(release.name), release.status
    if status.stage is Stage.CANARY:
        return _promote_canary(context, release)
    if status.stage is Stage.ROLLING_BACK:
        return _promote_what_stays(context, release)
    if status.stage is Stage.SERVING and status.watch is not None:
        if not _stays(context):
            return _refused(f"another release takes the place of {short}")
        # The verdicts of its gates do not hold it any more.
        context.change(release.name, after_promotion=None, gates=_offline(context, release))
        return f"accepted: {short} is judged no more", Reason.PROMOTE_REQUESTED
    if status.pause_reason != Reason.GATE_INCONCLUSIVE:
        return _refused(f"{short} is {release.status.stage or 'new'} and does not wait at a gate")
    context.change(release.name, gates_passed_at=context.now)
    resume(context, release.name)
    return f"accepted: {short} goes on past its gates", Reason.PROMOTE_REQUESTED


def _promote_canary(context: ReconcileContext, release: Release) -> Answer:
    """Past the pause or the analysis that it is at; after the last step, the approval."""
    short, status, steps = short_name(release.name), release.status, plan_of(context)
    at = status.step.index if status.step else 0
    if status.pause_reason == Reason.HELD_AT_STEP:
        return _refused(f"{short} is held by `spec.rollout.holdAtStep`: raise that")
    if status.pause_reason == Reason.STEPS_REFUSED or status.step is None:
        return _refused(f"{short} cannot take its steps: see its message")
    if at >= len(steps.steps):
        context.change(release.name, approved_at=context.now)
        return f"accepted: {short} is approved", Reason.PROMOTE_REQUESTED
    step = steps.steps[at]
    waits = status.pause_reason == Reason.GATE_INCONCLUSIVE
    if step.pause is None and not waits:
        return _refused(f"{short} is at step {at + 1} ({describe(step)}), which waits for nobody")
    context.change(release.name, step=status.step.replace(passed=True))
    return f"accepted: {short} goes on past step {at + 1}", Reason.PROMOTE_REQUESTED


def _promote_what_stays(context: ReconcileContext, release: Release) -> Answer:
    """Of two releases the one that answers, where stable does not: a person may settle for it."""
    short, stable = short_name(release.name), context.stable
    if stable is not None and health_of(context, stable).serving:
        return _refused(f"{short} gives its traffic back to {short_name(stable.name)}")
    if not health_of(context, release).serving:
        return _refused(f"{short} cannot answer: {health_of(context, release).sentence()}")
    why = "a person asked for it, and stable cannot answer"
    apply(context, release.name, keep_traffic(context, release, why))
    return f"accepted: {short} keeps its traffic and is promoted", Reason.PROMOTE_REQUESTED


def _refused(why: str) -> Answer:
    return f"refused: {why}", Reason.VERB_REFUSED


_VERBS: dict[Verb, Callable[[ReconcileContext, Release], Answer]] = {
    Verb.ABORT: _abort,
    Verb.ROLLBACK: _rollback,
    Verb.RETRY: _retry,
    Verb.PROMOTE: _promote,
}
