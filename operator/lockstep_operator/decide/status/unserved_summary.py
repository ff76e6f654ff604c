"""The spec asks for something else than what serves, and nothing is on its way: why not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.releases.wanted import rolled_back, was_left_since
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.stages.watched import after_promotion, has_failed
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.status.sentences import change_the_spec, change_what_failed
from lockstep_operator.decide.status.telling import is_hurt, stalled, tell
from lockstep_operator.decide.status.what_serves import holder
from lockstep_operator.decide.vocabulary.formatting import training_text
from lockstep_operator.decide.vocabulary.hints import Verb, ask, unpause
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.manifests import short_name

KEEP = "Make it lasting: apply the spec of the release that serves."


def unserved(context: ReconcileContext) -> Summary:
    """The summary of the first check of `CHAIN` that applies.

    Where users are hurt, that is its reason, and nothing about the spec is.
    """
    summaries = (check(context) for check in CHAIN)
    summary = next(summary for summary in summaries if summary is not None)
    if not is_hurt(context):
        return summary
    reason = Reason.PODS_NOT_READY if holder(context) is not None else Reason.ENTRY_MISSING
    return dataclasses.replace(summary, phase=Phase.DEGRADED, reason=reason)


def _paused(context: ReconcileContext) -> Summary | None:
    if not context.change_waits or not context.model.spec.rollout.paused:
        return None
    waits, start = f"A change waits: {context.change_waits}.", f"Start: {unpause(context.model)}"
    message = tell(context, doing=[waits], commands=[start])
    return Summary(_phase(context, Phase.PAUSED), Reason.PAUSED, message, reconciling=True)


def _rolled_back_since(context: ReconcileContext) -> Summary | None:
    """What served was rolled back after the newest release had failed: that is the last news."""
    newest = context.newest
    left = was_left_since(context, newest.status.finished_at) if newest else None
    if newest is None or left is None or newest.status.stage is not Stage.FAILED:
        return None
    failure, short = newest.status.last_failure, short_name(newest.name)
    reason = failure.reason if failure else Reason.RELEASE_FAILED
    before = f"Before that {short}, which the spec asks for, had failed at"
    message = tell(
        context,
        history=[
            *_how_it_was_rolled_back(left, f"{short_name(left.name)} was rolled back."),
            f"{before} {newest.status.failed_stage}: {reason}.",
        ],
        advice=[change_what_failed(context, newest)],
        commands=[*_forward(context, left), *_again(context, newest)],
    )
    return stalled(Reason.ROLLED_BACK, message)


def _failed(context: ReconcileContext) -> Summary | None:
    newest = context.newest
    if newest is None or newest.status.stage is not Stage.FAILED:
        return None
    failure, short = newest.status.last_failure, short_name(newest.name)
    reason = failure.reason if failure else Reason.RELEASE_FAILED
    what = f"{short} failed at {newest.status.failed_stage}: {reason}"
    if failure and failure.message:
        what += f": {failure.message}"
    waits = context.change_waits
    message = tell(
        context,
        history=[f"{what}.", training_text(newest.status.training)],
        advice=[
            f"Another change of the spec is seen: {waits}." if waits else "",
            change_what_failed(context, newest),
        ],
        commands=_again(context, newest),
    )
    return stalled(reason, message)


def _waits(context: ReconcileContext) -> Summary | None:
    if not context.change_waits:
        return None
    message = tell(context, doing=[f"A change waits: {context.change_waits}."])
    phase = _phase(context, Phase.PROGRESSING)
    return Summary(phase, Reason.CHANGE_WAITS, message, reconciling=True)


def _was_rolled_back(context: ReconcileContext) -> Summary | None:
    if not isinstance(context.desired, Desired):
        return None
    release = rolled_back(context, context.desired)
    if release is None:
        return None
    what = f"{short_name(release.name)}, which the spec asks for, was rolled back."
    keep = "" if is_hurt(context) else KEEP
    message = tell(
        context,
        history=_how_it_was_rolled_back(release, what),
        advice=[change_the_spec(context) if has_failed(release) else keep],
        commands=_forward(context, release),
    )
    return stalled(Reason.ROLLED_BACK, message)


def _was_aborted(context: ReconcileContext) -> Summary | None:
    newest = context.newest
    if newest is None or newest.status.outcome != Outcome.ABORTED:
        return None
    if not isinstance(context.desired, Desired):
        return None
    what = f"{short_name(newest.name)}, which the spec asks for, was aborted."
    again = f"Or start it again: {ask(context.model, Verb.RETRY, newest.name)}"
    commands = [] if is_hurt(context) else [again]
    message = tell(context, history=[what], advice=[change_the_spec(context)], commands=commands)
    return stalled(Reason.ABORTED, message)


def _starts(context: ReconcileContext) -> Summary:
    message = tell(context, doing=["The spec changed: a new release is made."])
    return Summary(Phase.PROGRESSING, Reason.CHANGE_WAITS, message, reconciling=True)


CHAIN: tuple[Callable[[ReconcileContext], Summary | None], ...] = (
    _paused,  # `spec.rollout.paused` holds whatever else would start
    _rolled_back_since,
    _failed,  # a person must do something, whatever waits behind it
    _waits,
    _was_rolled_back,
    _was_aborted,
    _starts,  # always
)
"""In this order."""


def _how_it_was_rolled_back(release: Release, what: str) -> list[str]:
    return [what, after_promotion(release)] if has_failed(release) else [what]


def _forward(context: ReconcileContext, release: Release) -> list[str]:
    """Back to what was rolled back, as long as it is kept."""
    if release.status.stage is not Stage.RETAINED or is_hurt(context):
        return []
    return [f"Go forward again: {ask(context.model, Verb.ROLLBACK, release.name)}"]


def _again(context: ReconcileContext, failed: Release) -> list[str]:
    """A retry builds and judges for long: no help while users get no answers."""
    if is_hurt(context):
        return []
    lost = ", ".join(damaged.what for damaged in failed.status.damaged or ())
    how = f"Or make its {lost} again" if lost else "Or mend the cause and try again"
    return [f"{how}: {ask(context.model, Verb.RETRY, failed.name)}"]


def _phase(context: ReconcileContext, calm: Phase) -> Phase:
    """Degraded where what serves failed after its promotion."""
    stable = context.stable
    return Phase.DEGRADED if stable is not None and has_failed(stable) else calm
