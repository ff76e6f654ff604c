"""Promoting: the entry point moves to a release that is ready, in one write, and is read back."""

from __future__ import annotations

from typing import Literal

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.rollout import Capacity
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import ReleaseHealth
from lockstep_operator.decide.context.pauses import is_held, seconds_left
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.context.transitions import Enter, Fail, Note, RollBack, Stay, stay
from lockstep_operator.decide.context.waits import REMNANT_SECONDS
from lockstep_operator.decide.stages.watched import first_watch
from lockstep_operator.decide.traffic import entry
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.traffic import has_all_requests, selected_release
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name

STARTS_THE_REST = "starts the rest of its pods, then takes all requests"


def promoting(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.FINALIZING, Stage.WARMING, Stage.RETAINED]] | Fail | RollBack:
    name, health = release.name, health_of(context, release)
    if has_all_requests(context, name):
        return _finalize(context, release)
    kept = _kept_share(context, release)
    conflict, remnant = entry.conflict(context), entry.remnant(context)
    if remnant is not None:
        context.wake_in(REMNANT_SECONDS)
        return stay(Stage.PROMOTING, f"is whole, and waits: {remnant}", traffic=kept)
    if conflict is not None:
        return Fail(Reason.NAME_CONFLICT, conflict)
    if not health.ready:
        return _wait_for_pods(context, release, health, kept)
    if is_held(context, release):
        message = "is whole, held before the entry point moves"
        return stay(Reason.PAUSED, message, traffic=kept)
    return stay(Stage.PROMOTING, _moving(context, name), traffic=Traffic(name))


def _moving(context: ReconcileContext, name: str) -> str:
    """What the move waits for, once the entry point itself has moved."""
    if selected_release(context) != name:
        return "is whole: the entry point moves to it"
    missing = router_of(context).verify(context, Traffic(name)).missing
    return f"has the entry point, and waits for all requests: {missing}"


def _kept_share(context: ReconcileContext, release: Release) -> Traffic | None:
    """Until the switch, the requests go where the canary left them, or where they went."""
    stable, weights = context.stable, release.status.weights
    if selected_release(context) == release.name:
        return Traffic(release.name)
    if stable is not None and weights is not None and weights.asked:
        return Traffic(stable.name, release.name, weights.asked)
    return None


def _wait_for_pods(
    context: ReconcileContext, release: Release, health: ReleaseHealth, kept: Traffic | None
) -> Stay | Enter[Literal[Stage.WARMING, Stage.RETAINED]] | RollBack:
    """After a canary, or where pods are shared, the rest of the pods starts only now."""
    missing, has_steps = health.sentence(), release.status.step is not None
    shared = context.model.spec.rollout.capacity is Capacity.RESOURCE_AWARE
    left = seconds_left(context, release.name, release.status.stage_started_at or context.now)
    returns = release.status.promoted_at is not None
    if not has_steps and not shared and not (returns and health.serving):
        return _step_back(context, release, missing, kept)
    if left is None or left > 0:
        if left is not None:
            context.wake_in(left)
        message = f"waits for its pods: {missing}" if returns else STARTS_THE_REST
        return stay(Stage.PROMOTING, message, traffic=kept)
    if not has_steps:
        return _step_back(context, release, missing, kept)
    limit = context.model.spec.rollout.progress_deadline_seconds
    message = f"after {limit} s (`spec.rollout.progressDeadlineSeconds`): {missing}"
    return RollBack(Reason.PROGRESS_DEADLINE_EXCEEDED, message)


def _finalize(context: ReconcileContext, release: Release) -> Enter[Literal[Stage.FINALIZING]]:
    """The entry point was read back: from here on this release is the stable one."""
    record = {
        "promoted_at": context.now,
        "first_promoted_at": release.status.got_there_at or context.now,
        "finished_at": None,
        "outcome": Outcome.PROMOTED,
        "canary": None,
        "watch": first_watch(context, release),
    }
    context.event(Stage.FINALIZING, f"the entry point selects {short_name(release.name)}")
    return Enter(Stage.FINALIZING, record, Note(Stage.FINALIZING, "has the entry point"))


def _step_back(
    context: ReconcileContext, release: Release, missing: str, kept: Traffic | None
) -> Enter[Literal[Stage.WARMING, Stage.RETAINED]]:
    """A release that is no longer ready does not get the entry point."""
    message = f"is not whole any more, so the entry point stays: {missing}"
    back: Enter[Literal[Stage.WARMING, Stage.RETAINED]]
    if release.status.promoted_at is None:
        back = Enter(Stage.WARMING, {}, Note(Stage.WARMING, message), kept)
    else:
        finished = {"finished_at": release.status.finished_at}
        back = Enter(Stage.RETAINED, finished, Note(Stage.RETAINED, message), kept)
    context.event(back.stage, f"{short_name(release.name)} {message}", warning=True)
    return back
