"""The model as one message to the person on call; `telling` has the order of its sentences."""

from __future__ import annotations

from collections.abc import Callable

from lockstep_operator.api.model import Phase
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.releases.wanted import is_asked
from lockstep_operator.decide.snapshot.snapshot import Problem
from lockstep_operator.decide.status.candidate_summary import with_candidate
from lockstep_operator.decide.status.intruders import with_intruders
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.status.served_summary import served
from lockstep_operator.decide.status.stored import refusals_of_checks
from lockstep_operator.decide.status.telling import refused, stalled, tell
from lockstep_operator.decide.status.unserved_summary import unserved
from lockstep_operator.decide.vocabulary.reasons import Reason


def summarize(context: ReconcileContext) -> Summary:
    """The summary of the first check of `CHAIN` that applies, and what is not ours beside it."""
    summaries = (check(context) for check in CHAIN)
    return with_intruders(context, next(one for one in summaries if one is not None))


def _spec_in_trouble(context: ReconcileContext) -> Summary | None:
    desired = context.desired
    if not isinstance(desired, Problem) or desired.waits:
        return None
    return stalled(desired.reason, tell(context, doing=[f"{desired.message}."]))


def _record_refused(context: ReconcileContext) -> Summary | None:
    refusal = context.snapshot.refused_record
    return None if refusal is None else refused(context, refusal)


def _on_its_way(context: ReconcileContext) -> Summary | None:
    candidate = context.candidate
    return None if candidate is None else with_candidate(context, candidate)


def _name_taken(context: ReconcileContext) -> Summary | None:
    if not context.conflicts:
        return None
    return stalled(Reason.NAME_CONFLICT, tell(context, doing=[f"{context.conflicts[0]}."]))


def _at_rest(context: ReconcileContext) -> Summary:
    """What serves, or why nothing more does; a write that was refused where nothing is stalled."""
    summary = _resting(context)
    aside = refusals_of_checks(context)
    refusals = [r for r in context.snapshot.observed.refusals if r not in aside]
    return refused(context, refusals[0]) if refusals and not summary.stalled else summary


def _resting(context: ReconcileContext) -> Summary:
    desired, stable = context.desired, context.stable
    if stable is None and isinstance(desired, Problem):
        return Summary(Phase.PENDING, desired.reason, f"Waits: {desired.message}.")
    if stable is not None and is_asked(context, stable):
        return served(context, stable)
    return unserved(context)


CHAIN: tuple[Callable[[ReconcileContext], Summary | None], ...] = (
    _spec_in_trouble,
    _record_refused,  # then nothing of this pass is reported: it is decided again
    _on_its_way,
    _name_taken,
    _at_rest,  # always
)
"""In this order."""
