"""RollingBack: the traffic returns to the stable release before the candidate is taken down."""

from __future__ import annotations

from typing import Literal

from lockstep_operator.api.kinds import DEPLOYMENT
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Ending, Stage
from lockstep_operator.api.traffic_records import Weights
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import seconds_left
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.context.transitions import End, Enter, Fail, Note, Stay, stay
from lockstep_operator.decide.jobs.obstacles import Mend
from lockstep_operator.decide.jobs.stuck import find_stuck, unfilled
from lockstep_operator.decide.traffic.traffic import has_all_requests, selected_release
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason, word_of
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name

_ABORTED = Ending(
    stage=Stage.PROMOTING,
    outcome=Outcome.ABORTED,
    reason=Reason.ABORTED,
    message="was aborted while being promoted",
)


def rolling_back(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.PROMOTING]] | Fail | End:
    """Traffic never goes to a release that cannot take it: it stays where it is until it can.

    Stable's capacity returns before its traffic does; the candidate's weight only ever falls.
    """
    name, stable = release.name, context.stable
    ending = release.status.ending or _ABORTED
    if stable is None:
        if health_of(context, release).serving:
            why = "the release that it should give its traffic back to is gone"
            return keep_traffic(context, release, why)
        return _end(context, name, ending)
    if has_all_requests(context, stable.name):
        return _drain(context, release, ending)
    why = f"{ending.reason}: {ending.message}"
    if _must_stay(context, release, stable):
        message = f"keeps its traffic, as {short_name(stable.name)} lacks pods to take it ({why})"
        return stay(Stage.ROLLING_BACK, message, traffic=_kept_share(context, release, stable))
    message = f"gives its traffic back to {short_name(stable.name)} ({why})"
    return stay(Stage.ROLLING_BACK, message, traffic=Traffic(stable.name))


def keep_traffic(
    context: ReconcileContext, release: Release, why: str
) -> Enter[Literal[Stage.PROMOTING]]:
    """The candidate keeps the traffic for good, and takes the rest of it."""
    message = f"keeps its traffic and takes the rest: {why}"
    context.event(Stage.PROMOTING, f"{short_name(release.name)} {message}", warning=True)
    return Enter(Stage.PROMOTING, {"ending": None}, Note(Stage.PROMOTING, message))


def _must_stay(context: ReconcileContext, release: Release, stable: Release) -> bool:
    """Whether stable cannot take the traffic yet, and the candidate still answers it."""
    here, there = health_of(context, release), health_of(context, stable)
    if not here.serving:
        return False
    if there.serving and (there.ready or selected_release(context) == release.name):
        return False
    left = seconds_left(context, release.name, release.status.stage_started_at or context.now)
    if there.serving and (_has_no_room(context, stable) or (left is not None and left <= 0)):
        return False
    if left is not None:
        context.wake_in(left)
    return True


def _kept_share(context: ReconcileContext, release: Release, stable: Release) -> Traffic | None:
    """The traffic as it is."""
    if selected_release(context) == release.name:
        return Traffic(release.name)
    weights = release.status.weights
    return None if weights is None else Traffic(stable.name, release.name, weights.asked)


def _has_no_room(context: ReconcileContext, stable: Release) -> bool:
    """Whether stable waits for room that the candidate may hold: fewer pods answer then."""
    stuck = find_stuck(context.snapshot.serving_pods(stable.name))
    if stuck is not None and stuck.reason is Reason.UNSCHEDULABLE:
        return True
    refused = map(unfilled, context.snapshot.children(DEPLOYMENT.kind, stable.uid))
    return any(failure is not None and failure.obstacle.mend is Mend.QUOTA for failure in refused)


def _drain(context: ReconcileContext, release: Release, ending: Ending) -> Stay | Fail | End:
    """What reached the candidate before every node had the change is still answered."""
    name, weights = release.name, release.status.weights
    if weights is None:
        # It took none in the first place.
        return _end(context, name, ending)
    if weights.achieved or weights.asked:
        weights = Weights(asked=0, achieved=0, since=context.now)
        context.change(name, weights=weights)
    limit = context.model.spec.rollout.abort_scale_down_delay_seconds
    left = limit - clock.seconds_since(weights.since, context.snapshot.now)
    if left <= 0:
        return _end(context, name, ending)
    context.wake_in(left)
    message = "has no traffic any more, and ends when it has answered what reached it"
    return stay(Stage.ROLLING_BACK, f"{message} ({ending.reason}: {ending.message})")


def _end(context: ReconcileContext, name: str, ending: Ending) -> Fail | End:
    context.change(name, canary=None)
    if ending.outcome == Outcome.FAILED:
        return Fail(ending.reason, ending.message, ending.exit_code, ending.pod, ending.stage)
    return End(ending.outcome, word_of(ending.reason), ending.message, ending.stage)
