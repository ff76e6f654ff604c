"""Pauses are levels, not events: a candidate is held while someone says so, and no longer."""

from __future__ import annotations

from lockstep_operator.api.model import HandledVerb
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import EmbeddingReleaseStatus, Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.drift import holding_policy
from lockstep_operator.decide.context.transitions import Enter, S, Stay, stay
from lockstep_operator.decide.vocabulary import clock, hints
from lockstep_operator.decide.vocabulary.hints import Verb, annotation, number_of
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import short_name


def is_held(context: ReconcileContext, release: Release) -> bool:
    """Whether a person, or a drift policy, holds this candidate before its next stage."""
    by_drift = holding_policy(context.snapshot, release) is not None
    return _held_by_name(context, release) or _held_by_spec(context, release) or by_drift


def update_pause(context: ReconcileContext, release: Release) -> None:
    """Starts or ends a person's pause of the candidate; the deadline clock stands still in it."""
    status = release.status
    if status.stage is Stage.ROLLING_BACK:
        return  # the return to stable is never held
    held = is_held(context, release)
    if held and status.paused_at is None:
        pause(context, release.name, Reason.PAUSED)
        by = _policy_text(context, release)
        context.event(
            Reason.PAUSED, f"{short_name(release.name)} is held before its next stage{by}"
        )
        if _held_by_name(context, release):
            _record(context, release)
    elif not held and status.pause_reason == Reason.PAUSED:
        resume(context, release.name)
        context.event(Reason.RESUMED, f"{short_name(release.name)} goes on")


def pause(context: ReconcileContext, name: str, reason: Reason) -> None:
    """Stops the clock of the stage. Of two pauses the first one's time counts."""
    status = context.release(name).status
    since = status.paused_at or context.now
    context.change(name, paused_at=since, pause_reason=reason)


def wait_for_person(context: ReconcileContext, name: str, reason: Reason, message: str) -> Stay:
    """The deadline stands still and traffic stays where it is, until someone says so."""
    if context.release(name).status.pause_reason != reason:
        pause(context, name, reason)
        context.event(reason, f"{short_name(name)} {message}")
    return stay(reason, message)


def resume(context: ReconcileContext, name: str) -> None:
    """Lets the clock of the stage run on."""
    paused = int(paused_seconds(context, context.release(name).status))
    context.change(name, paused_at=None, pause_reason=None, paused_seconds=paused)


def paused_seconds(context: ReconcileContext, status: EmbeddingReleaseStatus) -> float:
    """Seconds of the current stage that were spent paused, up to now."""
    before = float(status.paused_seconds or 0)
    if status.paused_at is None:
        return before
    # A clock that was set back must not make the stage older than it is.
    return before + max(0.0, clock.seconds_since(status.paused_at, context.snapshot.now))


def seconds_left(context: ReconcileContext, name: str, since: str) -> float | None:
    """Until `rollout.progressDeadlineSeconds` have passed since; None while the clock stands."""
    status = context.release(name).status
    if status.paused_at is not None:
        return None
    limit = context.model.spec.rollout.progress_deadline_seconds
    spent = clock.seconds_since(since, context.snapshot.now) - paused_seconds(context, status)
    return limit - spent


def forward(context: ReconcileContext, name: str, stage: S, **record: object) -> Stay | Enter[S]:
    """Into the next stage, unless a person holds the release before it."""
    release = context.release(name)
    if is_held(context, release):
        done = release.status.stage
        by = _policy_text(context, release)
        return stay(Reason.PAUSED, f"is done with {done} and held before {stage}{by}")
    context.event(stage, f"{short_name(name)} entered {stage}")
    return Enter(stage, {"last_failure": None, **record})


def how_to_continue(context: ReconcileContext, release: Release) -> str:
    """The commands that end a person's pause of this release."""
    commands = []
    if _held_by_name(context, release):
        commands.append(hints.let_go(context.model))
    if _held_by_spec(context, release):
        commands.append(hints.unpause(context.model))
    if policy := holding_policy(context.snapshot, release):
        stable = context.stable
        target = f"driftpolicy/{policy.name} -n {context.model.namespace}"
        if stable is not None:
            commands.append(f"kubectl annotate {target} {hints.rebaseline(policy, stable.name)}")
    return " && ".join(commands)


def _policy_text(context: ReconcileContext, release: Release) -> str:
    """Who asked, where it is a drift policy."""
    policy = holding_policy(context.snapshot, release)
    if policy is None:
        return ""
    return f" by DriftPolicy {policy.name}, while the embeddings drift ({policy.status.pauses})"


def _held_by_name(context: ReconcileContext, release: Release) -> bool:
    token = context.model.annotations.get(annotation(Verb.PAUSE), "")
    return number_of(token, context.model.name) == release.spec.number


def _held_by_spec(context: ReconcileContext, release: Release) -> bool:
    # A release that had served returns because a person asked for it by name: `paused` holds
    # candidates, and must not stand between the person on call and the last good release.
    return context.model.spec.rollout.paused and release.status.promoted_at is None


def _record(context: ReconcileContext, release: Release) -> None:
    value = context.model.annotations[annotation(Verb.PAUSE)][:128]
    known = context.handled.get(Verb.PAUSE)
    outcome = f"accepted: {short_name(release.name)} is held before its next stage"
    if known is None or (known.value, known.outcome) != (value, outcome):
        context.handled[Verb.PAUSE] = HandledVerb(
            verb=Verb.PAUSE, value=value, outcome=outcome, at=context.now
        )
