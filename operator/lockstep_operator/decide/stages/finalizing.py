"""Finalizing: the entry point has moved; the release that it left is kept for a rollback."""

from __future__ import annotations

from typing import Literal

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import Enter
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.stages.watched import has_failed
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.manifests import short_name


def finalizing(context: ReconcileContext, release: Release) -> Enter[Literal[Stage.SERVING]]:
    context.event(Reason.PROMOTED, f"{short_name(release.name)} answers all requests")
    return Enter(Stage.SERVING)


def replaced(
    context: ReconcileContext, old: Release, new: Release
) -> Enter[Literal[Stage.RETAINED]]:
    """A release that held the entry point is kept, with how it lost it."""
    outcome = _outcome_of_replaced(context, old, new)
    if outcome is not Outcome.PROMOTED:
        message = f"{short_name(old.name)} was replaced by {short_name(new.name)}"
        context.event(Reason.ROLLED_BACK, message, warning=outcome is Outcome.ROLLED_BACK)
    return Enter(Stage.RETAINED, {"outcome": outcome, "finished_at": context.now})


def _outcome_of_replaced(context: ReconcileContext, old: Release, new: Release) -> Outcome:
    """What replaced it: a newer release, the spec that went back, or a person against the spec.

    A release that was rolled back, by a person or by its gates after the promotion, never returns
    by itself; see `model.follow`.
    """
    if has_failed(old):
        return Outcome.ROLLED_BACK
    goes_back = old.spec.number > new.spec.number
    if isinstance(context.desired, Desired):
        if context.desired.is_release(new):
            return Outcome.REVERTED if goes_back else Outcome.PROMOTED
        if context.desired.is_release(old):
            return Outcome.ROLLED_BACK
    return Outcome.ROLLED_BACK if goes_back else Outcome.PROMOTED
