"""Warming: the pair is started beside what serves, and must be whole before anything moves."""

from __future__ import annotations

from lockstep_core.protocol.exitcodes import RETRYABLE, UNCOUNTED, ExitCode
from lockstep_core.protocol.result import Program
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import Draft
from lockstep_operator.decide.context.health import Pair
from lockstep_operator.decide.context.pauses import forward, resume, seconds_left, wait_for_person
from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.traffic import feasibility
from lockstep_operator.decide.traffic.steps import begin_at, has_canary, plan_of, say_step
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import upkeep

_SERVERS = (Program.SERVE_ENCODER, Program.SERVE_INDEX)
_TRANSIENT = {ExitCode.OK, *RETRYABLE, *UNCOUNTED}


def warming(draft: Draft, release: Release) -> None:
    name, stable = release.name, draft.stable
    canary = has_canary(draft, release)
    if canary and stable is not None and release.status.canary_of != stable.name:
        draft.change(name, canary_of=stable.name)
        release = draft.release(name)
    pair = upkeep(draft, release)
    if pair.conflict is not None:
        draft.fail(name, Reason.NAME_CONFLICT, pair.conflict)
        return
    crash = fatal_crash(draft, release)
    if crash is not None and crash.result is not None:
        result = crash.result
        draft.fail(name, result.reason, result.message, exit_code=crash.exit_code, pod=crash.pod)
        return
    if not pair.whole:
        _wait(draft, release, pair)
        return
    refused = feasibility.problem(draft) if canary else None
    if refused is not None:
        told = f"is whole, and waits: {refused}"
        wait_for_person(draft, name, Reason.STEPS_REFUSED, told)
        return
    if release.status.pause_reason == Reason.STEPS_REFUSED:
        resume(draft, name)
    if not canary:
        forward(draft, name, Stage.PROMOTING)
        return
    steps = plan_of(draft)
    if forward(draft, name, Stage.CANARY, step=begin_at(0, steps, draft.now)):
        say_step(draft, name, steps)


def _wait(draft: Draft, release: Release, pair: Pair) -> None:
    name = release.name
    stuck = pod_status.find_stuck(draft.scene.serving_pods(name))
    missing = pair.told()
    told = f"{missing}; {stuck.sentence()}" if stuck else missing
    assert release.status.stage_started_at is not None
    left = seconds_left(draft, name, release.status.stage_started_at)
    if left is None or left > 0:
        if left is not None:
            draft.wake_in(left)
        draft.say(name, stuck.reason if stuck else Reason.WARMING, f"starts its pods: {told}")
        return
    seconds = draft.model.spec.rollout.progress_deadline_seconds
    detail = f" ({stuck.detail})" if stuck and stuck.detail else ""
    message = f"after {seconds} s (`spec.rollout.progressDeadlineSeconds`): {told}{detail}"
    pod = stuck.pod if stuck else None
    draft.fail(name, Reason.PROGRESS_DEADLINE_EXCEEDED, message, pod=pod)


def fatal_crash(draft: Draft, release: Release) -> pod_status.Ended | None:
    """A server that says itself that starting it again will not help."""
    since = release.status.stage_started_at or ""
    for pod in draft.scene.serving_pods(release.name):
        # Pods of an earlier try at warming say nothing about this one.
        if pod["metadata"].get("creationTimestamp", "") < since:
            continue
        end = pod_status.crashed(pod)
        if end is None or end.result is None or end.result.program not in _SERVERS:
            continue
        if end.result.exit_code not in _TRANSIENT:
            return end
    return None
