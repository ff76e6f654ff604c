"""The spec asks for something else than what serves, and nothing is on its way: why not."""

from __future__ import annotations

from collections.abc import Callable

from lockstep_operator.api.model import Phase
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.releases.wanted import rolled_back
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.stages.watched import after_promotion, has_failed
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.status.sentences import (
    change_the_spec,
    change_what_failed,
    stalled,
    watch_of_stable,
)
from lockstep_operator.decide.status.what_serves import serving_sentence
from lockstep_operator.decide.vocabulary.formatting import training_text
from lockstep_operator.decide.vocabulary.hints import Verb, ask, unpause
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.manifests import short_name


def unserved(context: ReconcileContext) -> Summary:
    """The summary of the first check of `CHAIN` that applies."""
    serving = " ".join(
        part for part in (serving_sentence(context), watch_of_stable(context)) if part
    )
    summaries = (check(context, serving) for check in CHAIN)
    return next(summary for summary in summaries if summary is not None)


def _paused(context: ReconcileContext, serving: str) -> Summary | None:
    if not context.change_waits or not context.model.spec.rollout.paused:
        return None
    start = f"Start: {unpause(context.model)}"
    message = f"A change waits: {context.change_waits}. {serving} {start}"
    return Summary(_phase(context, Phase.PAUSED), Reason.PAUSED, message, reconciling=True)


def _failed(context: ReconcileContext, serving: str) -> Summary | None:
    newest = context.newest
    if newest is None or newest.status.stage is not Stage.FAILED:
        return None
    failure, short = newest.status.last_failure, short_name(newest.name)
    reason = failure.reason if failure else Reason.RELEASE_FAILED
    what = f"{short} failed at {newest.status.failed_stage}: {reason}"
    if failure and failure.message:
        what += f": {failure.message}"
    waits = context.change_waits
    other = f"Another change of the spec is seen: {waits}." if waits else ""
    lost = ", ".join(damaged.what for damaged in newest.status.damaged or ())
    how = f"Or make its {lost} again" if lost else "Or mend the cause and try again"
    again = f"{how}: {ask(context.model, Verb.RETRY, newest.name)}"
    findings = training_text(newest.status.training)
    mend = change_what_failed(context, newest)
    return stalled(reason, f"{what}.", findings, serving, other, mend, again)


def _waits(context: ReconcileContext, serving: str) -> Summary | None:
    if not context.change_waits:
        return None
    message = f"A change waits: {context.change_waits}. {serving}"
    phase = _phase(context, Phase.PROGRESSING)
    return Summary(phase, Reason.CHANGE_WAITS, message, reconciling=True)


def _was_rolled_back(context: ReconcileContext, serving: str) -> Summary | None:
    if not isinstance(context.desired, Desired):
        return None
    release = rolled_back(context, context.desired)
    if release is None:
        return None
    short = short_name(release.name)
    reason, what = Reason.ROLLED_BACK, f"{short}, which the spec asks for, was rolled back."
    keep = "Make it lasting: apply the spec of the release that serves."
    if has_failed(release):
        reason, what = Reason.GATE_FAILED, f"{what} {after_promotion(release)}"
        keep = change_the_spec(context)
    if release.status.stage is not Stage.RETAINED:
        return stalled(reason, what, serving, keep)
    forward = f"Go forward again: {ask(context.model, Verb.ROLLBACK, release.name)}"
    return stalled(reason, what, serving, keep, forward)


def _was_aborted(context: ReconcileContext, serving: str) -> Summary | None:
    newest = context.newest
    if newest is None or newest.status.outcome != Outcome.ABORTED:
        return None
    if not isinstance(context.desired, Desired):
        return None
    what = f"{short_name(newest.name)}, which the spec asks for, was aborted."
    again = f"Or start it again: {ask(context.model, Verb.RETRY, newest.name)}"
    return stalled(Reason.ABORTED, what, serving, change_the_spec(context), again)


def _starts(context: ReconcileContext, serving: str) -> Summary:
    message = f"The spec changed: a new release is made. {serving}"
    return Summary(Phase.PROGRESSING, Reason.CHANGE_WAITS, message, reconciling=True)


CHAIN: tuple[Callable[[ReconcileContext, str], Summary | None], ...] = (
    _paused,  # `spec.rollout.paused` holds whatever else would start
    _failed,  # a person must do something, whatever waits behind it
    _waits,
    _was_rolled_back,
    _was_aborted,
    _starts,  # always
)
"""In this order."""


def _phase(context: ReconcileContext, calm: Phase) -> Phase:
    """Degraded where what serves failed after its promotion."""
    stable = context.stable
    return Phase.DEGRADED if stable is not None and has_failed(stable) else calm
