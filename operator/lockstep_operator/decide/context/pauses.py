"""Pauses are levels, not events: a candidate is held while someone says so, and no longer."""

from __future__ import annotations

from lockstep_operator.api.model import HandledVerb
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import EmbeddingReleaseStatus, Stage
from lockstep_operator.decide.context.context import Draft
from lockstep_operator.decide.vocabulary import clock, hints
from lockstep_operator.decide.vocabulary.hints import Verb, annotation, number_of
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import short_name


def is_held(draft: Draft, release: Release) -> bool:
    """Whether a person holds this candidate before its next stage."""
    return _held_by_name(draft, release) or _held_by_spec(draft, release)


def update_pause(draft: Draft, release: Release) -> None:
    """Starts or ends a person's pause of the candidate; the deadline clock stands still in it."""
    status = release.status
    if status.stage is Stage.ROLLING_BACK:
        return  # nobody need hold stable back
    held = is_held(draft, release)
    if held and status.paused_at is None:
        pause(draft, release.name, Reason.PAUSED)
        draft.event(Reason.PAUSED, f"{short_name(release.name)} is held before its next stage")
        if _held_by_name(draft, release):
            _record(draft, release)
    elif not held and status.pause_reason == Reason.PAUSED:
        resume(draft, release.name)
        draft.event(Reason.RESUMED, f"{short_name(release.name)} goes on")


def pause(draft: Draft, name: str, reason: Reason) -> None:
    """Stops the clock of the stage. Of two pauses the first one's time counts."""
    status = draft.release(name).status
    since = status.paused_at or draft.now
    draft.change(name, paused_at=since, pause_reason=reason)


def wait_for_person(draft: Draft, name: str, reason: Reason, told: str) -> None:
    """The deadline stands still and traffic stays where it is, until someone says so."""
    if draft.release(name).status.pause_reason != reason:
        pause(draft, name, reason)
        draft.event(reason, f"{short_name(name)} {told}")
    draft.say(name, reason, told)


def resume(draft: Draft, name: str) -> None:
    """Lets the clock of the stage run on."""
    paused = int(paused_seconds(draft, draft.release(name).status))
    draft.change(name, paused_at=None, pause_reason=None, paused_seconds=paused)


def paused_seconds(draft: Draft, status: EmbeddingReleaseStatus) -> float:
    """Seconds of the current stage that were spent paused, up to now."""
    before = float(status.paused_seconds or 0)
    if status.paused_at is None:
        return before
    # A clock that was set back must not make the stage older than it is.
    return before + max(0.0, clock.seconds_since(status.paused_at, draft.scene.now))


def seconds_left(draft: Draft, name: str, since: str) -> float | None:
    """Until `rollout.progressDeadlineSeconds` have passed since; None while the clock stands."""
    status = draft.release(name).status
    if status.paused_at is not None:
        return None
    limit = draft.model.spec.rollout.progress_deadline_seconds
    spent = clock.seconds_since(since, draft.scene.now) - paused_seconds(draft, status)
    return limit - spent


def forward(draft: Draft, name: str, stage: Stage, **facts: object) -> bool:
    """Enters the next stage, unless a person holds the release before it."""
    release = draft.release(name)
    if is_held(draft, release):
        draft.say(
            name, Reason.PAUSED, f"is done with {release.status.stage} and held before {stage}"
        )
        return False
    draft.enter(name, stage, last_failure=None, **facts)
    draft.event(Reason(stage), f"{short_name(name)} entered {stage}")
    return True


def how_to_continue(draft: Draft, release: Release) -> str:
    """The commands that end a person's pause of this release."""
    found = []
    if _held_by_name(draft, release):
        found.append(hints.let_go(draft.model))
    if _held_by_spec(draft, release):
        found.append(hints.unpause(draft.model))
    return " && ".join(found)


def _held_by_name(draft: Draft, release: Release) -> bool:
    token = draft.model.annotations.get(annotation(Verb.PAUSE), "")
    return number_of(token, draft.model.name) == release.spec.number


def _held_by_spec(draft: Draft, release: Release) -> bool:
    # A release that had served returns because a person asked for it by name: `paused` holds
    # candidates, and must not stand between the person on call and the last good release.
    return draft.model.spec.rollout.paused and release.status.promoted_at is None


def _record(draft: Draft, release: Release) -> None:
    value = draft.model.annotations[annotation(Verb.PAUSE)][:128]
    known = draft.handled.get(Verb.PAUSE)
    outcome = f"accepted: {short_name(release.name)} is held before its next stage"
    if known is None or (known.value, known.outcome) != (value, outcome):
        draft.handled[Verb.PAUSE] = HandledVerb(
            verb=Verb.PAUSE, value=value, outcome=outcome, at=draft.now
        )
