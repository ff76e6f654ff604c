"""Finalizing: the entry point is here; what it left is kept whole for a rollback."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.stages.serving import has_failed
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import short_name

_HELD_THE_ENTRY = (Stage.SERVING, Stage.FINALIZING)


def finalizing(context: ReconcileContext, release: Release) -> None:
    retain_others(context, release)
    upkeep(context, release)
    context.enter(release.name, Stage.SERVING)
    context.event(Reason.PROMOTED, f"{short_name(release.name)} answers all requests")


def retain_others(context: ReconcileContext, release: Release) -> None:
    """Every other release that held the entry point is kept, with how it lost it.

    Done where the switch is read back, and again here, for a crash between the two writes.
    """
    for other in context.releases:
        if other.name != release.name and other.status.stage in _HELD_THE_ENTRY:
            outcome = _outcome_of_replaced(context, other, release)
            context.enter(other.name, Stage.RETAINED, outcome=outcome, finished_at=context.now)
            if outcome is not Outcome.PROMOTED:
                told = f"{short_name(other.name)} was replaced by {short_name(release.name)}"
                context.event(Reason.ROLLED_BACK, told, warning=outcome is Outcome.ROLLED_BACK)


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
