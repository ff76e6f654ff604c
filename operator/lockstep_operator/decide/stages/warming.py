"""Warming: the release's pods start beside stable, and must be ready before any request moves."""

from __future__ import annotations

from typing import Literal

from lockstep_core.protocol.exitcodes import RETRYABLE, UNCOUNTED, ExitCode
from lockstep_core.protocol.result import Program
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import ReleaseHealth
from lockstep_operator.decide.context.pauses import forward, resume, seconds_left, wait_for_person
from lockstep_operator.decide.context.transitions import Enter, Fail, Stay, stay
from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.traffic import feasibility
from lockstep_operator.decide.traffic.steps import begin_at, has_canary, plan_of
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.decide.workloads.stuck_server import stuck_server

_SERVERS = (Program.SERVE_ENCODER, Program.SERVE_INDEX)
_TRANSIENT = {ExitCode.OK, *RETRYABLE, *UNCOUNTED}


def warming(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.CANARY, Stage.PROMOTING]] | Fail:
    name, stable = release.name, context.stable
    canary = has_canary(context, release)
    if canary and stable is not None and release.status.canary_of != stable.name:
        context.change(name, canary_of=stable.name)
        release = context.release(name)
    health = health_of(context, release)
    if health.conflict is not None:
        return Fail(Reason.NAME_CONFLICT, health.conflict)
    crash = fatal_crash(context, release)
    if crash is not None and crash.result is not None:
        result = crash.result
        return Fail(result.reason, result.message, crash.exit_code, crash.pod, damage=result.damage)
    if not health.ready:
        return _wait(context, release, health)
    refused = feasibility.problem(context) if canary else None
    if refused is not None:
        message = f"is whole, and waits: {refused}"
        return wait_for_person(context, name, Reason.STEPS_REFUSED, message)
    if release.status.pause_reason == Reason.STEPS_REFUSED:
        resume(context, name)
    if not canary:
        return forward(context, name, Stage.PROMOTING)
    return forward(context, name, Stage.CANARY, step=begin_at(0, plan_of(context), context.now))


def _wait(context: ReconcileContext, release: Release, health: ReleaseHealth) -> Stay | Fail:
    found = stuck_server(context, release)
    stuck, fix = found if found is not None else (None, "")
    missing = health.sentence()
    since = release.status.stage_started_at
    assert since is not None
    if stuck is not None:
        # What an earlier try at warming left behind is no evidence of this one.
        if stuck.is_final and stuck.since >= since and not health.to_apply:
            return Fail(stuck.reason, f"{stuck.sentence()}; {fix}", pod=stuck.pod)
        told = stuck.sentence() in missing
        missing = "; ".join([missing, *([] if told else [stuck.sentence()]), fix])
    left = seconds_left(context, release.name, since)
    if left is None or left > 0:
        if left is not None:
            context.wake_in(left)
        return stay(stuck.reason if stuck else Stage.WARMING, f"starts its pods: {missing}")
    seconds = context.model.spec.rollout.progress_deadline_seconds
    message = f"after {seconds} s (`spec.rollout.progressDeadlineSeconds`): {missing}"
    return Fail(Reason.PROGRESS_DEADLINE_EXCEEDED, message, pod=stuck.pod if stuck else None)


def fatal_crash(context: ReconcileContext, release: Release) -> pod_status.Ended | None:
    """A server whose own result shows that starting it again will not help."""
    since = release.status.stage_started_at or ""
    for pod in context.snapshot.serving_pods(release.name):
        # Pods of an earlier try at warming are no evidence of this one.
        if pod["metadata"].get("creationTimestamp", "") < since:
            continue
        end = pod_status.crashed(pod)
        if end is None or end.result is None or end.result.program not in _SERVERS:
            continue
        if end.result.exit_code not in _TRANSIENT:
            return end
    return None
