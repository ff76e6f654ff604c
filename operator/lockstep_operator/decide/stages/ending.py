"""How a candidate ends: at once where it never had traffic, else after its traffic went back."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Ending, Stage, Weights
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.routers.router import Traffic
from lockstep_operator.decide.traffic.traffic import selected_release
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.manifests import short_name


def give_up(
    context: ReconcileContext, release: Release, outcome: Outcome, reason: Reason, message: str
) -> bool:
    """Ends a candidate; False while its traffic must be brought back first."""
    status = release.status
    if status.stage is Stage.ROLLING_BACK:
        return False
    promoting = status.stage is Stage.PROMOTING and status.promoted_at is None
    if status.stage is not Stage.CANARY and not promoting:
        context.end(release.name, outcome, reason, message)
        return True
    _enter(
        context,
        release,
        Ending(stage=status.stage, outcome=outcome, reason=reason, message=message),
    )
    return False


def roll_back(
    context: ReconcileContext,
    release: Release,
    reason: str,
    message: str,
    *,
    exit_code: int | None = None,
    pod: str | None = None,
) -> None:
    """The candidate failed while it had traffic: stable takes that back, then it is Failed."""
    stage = release.status.stage
    assert stage is not None
    ending = Ending(
        stage=stage,
        outcome=Outcome.FAILED,
        reason=reason,
        message=message[:2000],
        exit_code=exit_code,
        pod=pod,
    )
    _enter(context, release, ending)


def _enter(context: ReconcileContext, release: Release, ending: Ending) -> None:
    name = release.name
    context.enter(name, Stage.ROLLING_BACK, ending=ending, weights=_taken(context, release))
    told = f"gives its traffic back: {ending.reason}: {ending.message}"
    context.say(name, Reason.ROLLING_BACK, told)
    failed = ending.outcome == Outcome.FAILED
    context.event(Reason.ROLLING_BACK, f"{short_name(name)} {told}", warning=failed)


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
