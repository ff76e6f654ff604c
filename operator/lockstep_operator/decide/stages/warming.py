"""Warming: the pair is started beside what serves, and must be whole before anything moves."""

from __future__ import annotations

from lockstep_core.protocol.exitcodes import RETRYABLE, UNCOUNTED, ExitCode
from lockstep_core.protocol.result import Program
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide import pods
from lockstep_operator.decide.children import upkeep
from lockstep_operator.decide.draft import Draft
from lockstep_operator.decide.pair import Pair
from lockstep_operator.decide.pauses import forward, seconds_left
from lockstep_operator.decide.reasons import Reason

_SERVERS = (Program.SERVE_ENCODER, Program.SERVE_INDEX)
_TRANSIENT = {ExitCode.OK, *RETRYABLE, *UNCOUNTED}


def warming(draft: Draft, release: Release) -> None:
    name = release.name
    pair = upkeep(draft, release)
    if pair.conflict is not None:
        draft.fail(name, Reason.NAME_CONFLICT, pair.conflict)
        return
    crash = _fatal_crash(draft, release)
    if crash is not None and crash.result is not None:
        result = crash.result
        draft.fail(name, result.reason, result.message, exit_code=crash.exit_code, pod=crash.pod)
        return
    if pair.whole:
        forward(draft, name, Stage.PROMOTING)
        return
    _wait(draft, release, pair)


def _wait(draft: Draft, release: Release, pair: Pair) -> None:
    name = release.name
    stuck = pods.find_stuck(draft.scene.serving_pods(name))
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


def _fatal_crash(draft: Draft, release: Release) -> pods.Ended | None:
    """A server that says itself that starting it again will not help."""
    since = release.status.stage_started_at or ""
    for pod in draft.scene.serving_pods(release.name):
        # Pods of an earlier try at warming say nothing about this one.
        if pod["metadata"].get("creationTimestamp", "") < since:
            continue
        end = pods.crashed(pod)
        if end is None or end.result is None or end.result.program not in _SERVERS:
            continue
        if end.result.exit_code not in _TRANSIENT:
            return end
    return None
