"""RollingBack: the traffic returns to the stable release before the candidate is taken down."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Ending, Stage, Weights
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import seconds_left
from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.traffic.routers.router import Traffic
from lockstep_operator.decide.traffic.traffic import has_all_requests, selected_release
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import short_name

_ABORTED = Ending(
    stage=Stage.PROMOTING,
    outcome=Outcome.ABORTED,
    reason=Reason.ABORTED,
    message="was aborted while being promoted",
)


def rolling_back(context: ReconcileContext, release: Release) -> None:
    """Traffic never goes to a release that cannot take it: it stays where it is until it can.

    Stable's capacity returns before its traffic does; the candidate's weight only ever falls.
    """
    name, stable = release.name, context.stable
    ending = release.status.ending or _ABORTED
    here = upkeep(context, release)
    if stable is None:
        if here.serving:
            stay(context, release, "the release that it should give its traffic back to is gone")
        else:
            _end(context, name, ending)
        return
    if has_all_requests(context, stable.name):
        _drain(context, release, ending)
        return
    why = f"{ending.reason}: {ending.message}"
    if _must_stay(context, release, stable):
        told = f"keeps its traffic, as {short_name(stable.name)} lacks pods to take it ({why})"
    else:
        context.traffic = Traffic(stable.name)
        told = f"gives its traffic back to {short_name(stable.name)} ({why})"
    context.say(name, Reason.ROLLING_BACK, told)


def stay(context: ReconcileContext, release: Release, why: str) -> None:
    """The better one of two keeps the traffic for good, and takes the rest of it."""
    context.enter(release.name, Stage.PROMOTING, ending=None)
    told = f"keeps its traffic and takes the rest: {why}"
    context.say(release.name, Reason.PROMOTING, told)
    context.event(Reason.PROMOTING, f"{short_name(release.name)} {told}", warning=True)


def _must_stay(context: ReconcileContext, release: Release, stable: Release) -> bool:
    """Whether stable cannot take the traffic yet, and the candidate still answers it."""
    here, there = upkeep(context, release), upkeep(context, stable)
    if not here.serving:
        return False
    switched = selected_release(context) == release.name
    if there.serving and (there.whole or switched):
        return False
    left = seconds_left(context, release.name, release.status.stage_started_at or context.now)
    if there.serving and (_has_no_room(context, stable) or (left is not None and left <= 0)):
        return False
    if left is not None:
        context.wake_in(left)
    weights = release.status.weights
    if switched:
        context.traffic = Traffic(release.name)
    elif weights is not None:
        context.traffic = Traffic(stable.name, release.name, weights.asked)
    return True


def _has_no_room(context: ReconcileContext, stable: Release) -> bool:
    """Whether stable waits for room that the candidate may hold: fewer pods answer then."""
    stuck = pod_status.find_stuck(context.snapshot.serving_pods(stable.name))
    return stuck is not None and stuck.reason is Reason.UNSCHEDULABLE


def _drain(context: ReconcileContext, release: Release, ending: Ending) -> None:
    """What reached the candidate before every node had heard of it is still answered."""
    name, weights = release.name, release.status.weights
    told = "has no traffic any more, and ends when it has answered what reached it"
    context.say(name, Reason.ROLLING_BACK, f"{told} ({ending.reason}: {ending.message})")
    if weights is None:
        # It took none in the first place.
        _end(context, name, ending)
        return
    if weights.achieved or weights.asked:
        weights = Weights(asked=0, achieved=0, since=context.now)
        context.change(name, weights=weights)
    limit = context.model.spec.rollout.abort_scale_down_delay_seconds
    left = limit - clock.seconds_since(weights.since, context.snapshot.now)
    if left > 0:
        context.wake_in(left)
        return
    _end(context, name, ending)


def _end(context: ReconcileContext, name: str, ending: Ending) -> None:
    fields = {"step": None, "weights": None, "approved_at": None}
    context.change(name, **fields)
    if ending.outcome == Outcome.FAILED:
        context.fail(
            name,
            ending.reason,
            ending.message,
            exit_code=ending.exit_code,
            pod=ending.pod,
            stage=ending.stage,
        )
        return
    context.end(name, ending.outcome, Reason(ending.reason), ending.message, stage=ending.stage)
