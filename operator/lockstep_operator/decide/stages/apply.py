"""Carries out what becomes of a release: its record, its note and the traffic that is asked for."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Ending, Stage
from lockstep_operator.api.traffic_records import Weights
from lockstep_operator.decide.context.context import MESSAGE_LIMIT, ReconcileContext
from lockstep_operator.decide.context.stored import MESSAGE_CHARACTERS, named_in, note_refused
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.context.transitions import End, Enter, Fail, RollBack, Transition
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.traffic import selected_release
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.manifests import short_name


def apply(context: ReconcileContext, name: str, transition: Transition) -> None:
    """Writes the transition into the release's record, its note and the traffic that it asks."""
    if isinstance(transition, End):
        _end(context, name, transition)
    elif isinstance(transition, Fail):
        _fail(context, name, transition)
    elif isinstance(transition, RollBack):
        _roll_back(context, name, transition)
    else:
        if isinstance(transition, Enter):
            context.enter(name, transition.stage, **transition.record)
        if transition.note is not None:
            note = transition.note
            context.say(name, note.reason, note.message, ready=note.ready, stalled=note.stalled)
        if transition.traffic is not None:
            context.traffic = transition.traffic


def _end(context: ReconcileContext, name: str, asked: End) -> None:
    """Superseded, without pods. Where it was is kept, for a retry."""
    context.enter(
        name,
        Stage.SUPERSEDED,
        failed_stage=asked.stage or context.release(name).status.stage,
        outcome=asked.outcome,
        finished_at=context.now,
        ending=None,
    )
    context.say(name, asked.reason, asked.message)
    context.event(asked.reason, f"{short_name(name)} {asked.message}")


def _fail(context: ReconcileContext, name: str, asked: Fail) -> None:
    """Failed, with what happened and where to look."""
    _note_damage(context, name, asked)
    stage = asked.stage or context.release(name).status.stage
    assert stage is not None
    failure = context.failure(
        name, asked.reason, asked.message, exit_code=asked.exit_code, pod=asked.pod
    ).replace(stage=stage)
    context.enter(
        name,
        Stage.FAILED,
        failed_stage=stage,
        outcome=Outcome.FAILED,
        finished_at=context.now,
        last_failure=failure,
        ending=None,
    )
    message = f"failed at {stage}: {asked.reason}: {failure.message}"
    context.say(name, asked.reason, message, stalled=True)
    context.event(Reason.RELEASE_FAILED, f"{short_name(name)} {message}", warning=True)


def _note_damage(context: ReconcileContext, name: str, asked: Fail | RollBack) -> None:
    """Which artifact was refused is a fact of the release: a retry makes it again."""
    damage = asked.damage or named_in(context.release(name), asked.reason, asked.message)
    if damage is not None:
        note_refused(context, name, damage.replace(message=asked.message[:MESSAGE_CHARACTERS]))


def _roll_back(context: ReconcileContext, name: str, asked: RollBack) -> None:
    """RollingBack, with how it ends once it has no requests any more."""
    _note_damage(context, name, asked)
    release = context.release(name)
    assert release.status.stage is not None
    ending = Ending(
        stage=release.status.stage,
        outcome=asked.outcome,
        reason=asked.reason,
        message=asked.message[:MESSAGE_LIMIT],
        exit_code=asked.exit_code,
        pod=asked.pod,
    )
    context.enter(name, Stage.ROLLING_BACK, ending=ending, weights=_taken(context, release))
    message = f"gives its traffic back: {ending.reason}: {ending.message}"
    context.say(name, Stage.ROLLING_BACK, message)
    failed = ending.outcome == Outcome.FAILED
    context.event(Stage.ROLLING_BACK, f"{short_name(name)} {message}", warning=failed)


def _taken(context: ReconcileContext, release: Release) -> Weights | None:
    """What the candidate takes: as recorded, or what goes to it and was not read back yet."""
    known, stable = release.status.weights, context.stable
    if selected_release(context) == release.name:
        return Weights(asked=100, achieved=100, since=context.now)
    if (known is not None and known.asked) or stable is None:
        return known
    routed = router_of(context).verify(context, Traffic(stable.name))
    if routed.holds:
        return known
    return Weights(asked=routed.achieved, achieved=routed.achieved, since=context.now)
