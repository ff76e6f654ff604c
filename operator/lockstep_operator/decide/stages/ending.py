"""A candidate that nobody wants any more: a person aborts it, or the spec asks for another one."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import End, RollBack
from lockstep_operator.decide.stages.apply import apply
from lockstep_operator.decide.vocabulary.reasons import Outcome, Word


def give_up(
    context: ReconcileContext, release: Release, outcome: Outcome, reason: Word, message: str
) -> bool:
    """Ends a candidate; False while its requests must go back to stable first."""
    if release.status.stage is Stage.ROLLING_BACK:
        return False
    transition = given_up(release, outcome, reason, message)
    apply(context, release.name, transition)
    return isinstance(transition, End)


def given_up(release: Release, outcome: Outcome, reason: Word, message: str) -> End | RollBack:
    """At once where it never had requests, else after they went back."""
    status = release.status
    promoting = status.stage is Stage.PROMOTING and status.promoted_at is None
    if status.stage is Stage.CANARY or promoting:
        return RollBack(reason, message, outcome=outcome)
    return End(outcome, reason, message)
