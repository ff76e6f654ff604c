"""Promoting: the entry point moves to a whole pair in one write, and is read back."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.rollout import Capacity
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import ReleaseHealth
from lockstep_operator.decide.context.pauses import is_held, seconds_left
from lockstep_operator.decide.context.waits import REMNANT_SECONDS
from lockstep_operator.decide.stages.ending import roll_back
from lockstep_operator.decide.stages.finalizing import retain_others
from lockstep_operator.decide.stages.serving import first_watch
from lockstep_operator.decide.traffic import entry
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.routers.router import Traffic
from lockstep_operator.decide.traffic.traffic import has_all_requests, selected_release
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import short_name

STARTS_THE_REST = "starts the rest of its pods, then takes all requests"


def promoting(context: ReconcileContext, release: Release) -> None:
    name, pair = release.name, upkeep(context, release)
    if has_all_requests(context, name):
        _finalize(context, release)
        return
    _keep_share(context, release)
    conflict, remnant = entry.conflict(context), entry.remnant(context)
    if remnant is not None:
        context.wake_in(REMNANT_SECONDS)
        context.say(name, Reason.PROMOTING, f"is whole, and waits: {remnant}")
    elif conflict is not None:
        context.fail(name, Reason.NAME_CONFLICT, conflict)
    elif not pair.whole:
        _wait_for_pods(context, release, pair)
    elif is_held(context, release):
        context.say(name, Reason.PAUSED, "is whole, held before the entry point moves")
    else:
        context.traffic = Traffic(name)
        context.say(name, Reason.PROMOTING, _moving(context, name))


def _moving(context: ReconcileContext, name: str) -> str:
    """What the move waits for, once the entry point itself has moved."""
    if selected_release(context) != name:
        return "is whole: the entry point moves to it"
    lacking = router_of(context).verify(context, Traffic(name)).told
    return f"has the entry point, and waits for all requests: {lacking}"


def _keep_share(context: ReconcileContext, release: Release) -> None:
    """Until the switch, the requests go where the canary left them, or where they went."""
    stable, weights = context.stable, release.status.weights
    if selected_release(context) == release.name:
        context.traffic = Traffic(release.name)
    elif stable is not None and weights is not None and weights.asked:
        context.traffic = Traffic(stable.name, release.name, weights.asked)


def _wait_for_pods(context: ReconcileContext, release: Release, pair: ReleaseHealth) -> None:
    """After a canary, or where pods are shared, the rest of the pods starts only now."""
    name = release.name
    shared = context.model.spec.rollout.capacity is Capacity.RESOURCE_AWARE
    left = seconds_left(context, name, release.status.stage_started_at or context.now)
    returns = release.status.promoted_at is not None
    if release.status.step is None and not shared and not (returns and pair.serving):
        _step_back(context, release, pair.told())
    elif left is None or left > 0:
        if left is not None:
            context.wake_in(left)
        told = f"waits for its pods: {pair.told()}" if returns else STARTS_THE_REST
        context.say(name, Reason.PROMOTING, told)
    elif release.status.step is None:
        _step_back(context, release, pair.told())
    else:
        limit = context.model.spec.rollout.progress_deadline_seconds
        told = f"after {limit} s (`spec.rollout.progressDeadlineSeconds`): {pair.told()}"
        roll_back(context, release, Reason.PROGRESS_DEADLINE_EXCEEDED, told)


def _finalize(context: ReconcileContext, release: Release) -> None:
    """The entry point was read back: from here on this release is the stable one."""
    name = release.name
    context.enter(
        name,
        Stage.FINALIZING,
        promoted_at=context.now,
        finished_at=None,
        outcome=Outcome.PROMOTED,
        step=None,
        watch=first_watch(context, release),
        weights=None,
        approved_at=None,
    )
    context.event(Reason.FINALIZING, f"the entry point selects {short_name(name)}")
    context.say(name, Reason.FINALIZING, "has the entry point")
    retain_others(context, release)


def _step_back(context: ReconcileContext, release: Release, lacking: str) -> None:
    """A pair that is whole no more does not get the entry point."""
    name, told = release.name, f"is not whole any more, so the entry point stays: {lacking}"
    if release.status.promoted_at is None:
        context.enter(name, Stage.WARMING)
        reason = Reason.WARMING
    else:
        context.enter(name, Stage.RETAINED, finished_at=release.status.finished_at)
        reason = Reason.RETAINED
    context.say(name, reason, told)
    context.event(reason, f"{short_name(name)} {told}", warning=True)
