"""`DriftPolicy.status`: what is seen in one line, and what is asked for because of it."""

from __future__ import annotations

from pydantic import ValidationError

from lockstep_core.protocol.drift import BaselineKind
from lockstep_operator.api.drift_policy import AUTO, DriftPolicy, DriftPolicyStatus, State
from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.policies.drift_verdicts import Verdict, verdict_of
from lockstep_operator.decide.policies.drift_watches import epoch_of
from lockstep_operator.decide.status.kstatus import Summary, other_states
from lockstep_operator.decide.vocabulary.conditions import State as ConditionState
from lockstep_operator.decide.vocabulary.conditions import conditions, true_or_false
from lockstep_operator.decide.vocabulary.reasons import Reason

_PHASES = {
    State.UNMONITORED: Phase.PENDING,
    State.NO_DATA: Phase.PENDING,
    State.LEARNING: Phase.PROGRESSING,
    State.QUIET: Phase.HEALTHY,
    State.DRIFTING: Phase.DEGRADED,
    State.RECALL_LOW: Phase.DEGRADED,
    State.WAITING_FOR_APPROVAL: Phase.DEGRADED,
    State.ACTING: Phase.PROGRESSING,
}
_REASONS = {
    State.WAITING_FOR_APPROVAL: Reason.WAITING_FOR_APPROVAL,
    State.ACTING: Reason.DRIFTING,
}


def project(context: ReconcileContext, policy: DriftPolicy) -> DriftPolicyStatus:
    verdict = verdict_of(context, policy)
    if not verdict.sight.known:
        # After a restart: what was told stands until the first window is read again.
        kept, asked = policy.status, verdict.asked
        return kept.replace(request=asked.request, actions=list(asked.actions) or None)
    sight, asked, before = verdict.sight, verdict.asked, policy.status
    watched, worst = sight.watch, sight.worst
    stable = context.stable
    status = DriftPolicyStatus(
        state=verdict.state,
        release=watched.parameters.release if watched is not None else None,
        value=f"{worst.judged.value:.3f}" if worst is not None and worst.judged else None,
        tolerance=_tolerance(policy, verdict),
        since=before.since if before.state is verdict.state and before.since else context.now,
        rebaselined=epoch_of(policy, stable) if stable is not None else before.rebaselined,
        pauses=asked.pauses,
        request=asked.request,
        actions=list(asked.actions) or None,
    )
    return _with_summary(status, policy, _summary(verdict), _domain(policy, verdict), context.now)


def without_model(policy: DriftPolicy, model: str, now: str) -> DriftPolicyStatus:
    message = (
        f"`spec.targetRef.name` is {model}, and there is no EmbeddingModel of that name in"
        f" namespace {policy.namespace}: apply it, or make a DriftPolicy for another model."
    )
    summary = Summary(Phase.PENDING, Reason.MODEL_NOT_FOUND, message)
    status = DriftPolicyStatus(state=State.UNMONITORED, actions=policy.status.actions)
    since = policy.status.since if policy.status.state is State.UNMONITORED else None
    return _with_summary(status.replace(since=since or now), policy, summary, [], now)


def broken(raw: Object, problem: str, now: str) -> DriftPolicyStatus:
    """The status of a DriftPolicy that this version cannot read: nothing is watched by it."""
    try:
        before = DriftPolicyStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        before = DriftPolicyStatus()
    generation = int(raw["metadata"].get("generation", 0))
    message = f"{problem}. Nothing is watched by it."
    summary = Summary(Phase.DEGRADED, Reason.INVALID_SPEC, message, stalled=True)
    states = [*summary.states(), *other_states(before.conditions or ())]
    return before.replace(
        observed_generation=generation,
        phase=str(summary.phase),
        state=State.UNMONITORED,
        message=message,
        request=None,
        pauses=None,
        conditions=conditions(states, before.conditions, generation, now),
    )


def _summary(verdict: Verdict) -> Summary:
    """Ready means that the policy does its work: it learns, or it judges what comes. That what it
    judges drifts is `NoDrift`: a rollout of manifests that holds this one must not wait for it."""
    sight, state = verdict.sight, verdict.state
    phase = Phase.DEGRADED if sight.stalled else _PHASES[state]
    reason = _REASONS.get(state, sight.reason)
    ready = state is not State.UNMONITORED
    return Summary(phase, reason, verdict.message, ready=ready, stalled=sight.stalled)


def _domain(policy: DriftPolicy, verdict: Verdict) -> list[ConditionState]:
    """`NoDrift` and `RecallHolds` once they were judged, `BaselineCalibrated` where `Auto` rests on
    it."""
    sight, states = verdict.sight, list[ConditionState]()
    if sight.state is State.DRIFTING:
        states.append(true_or_false("NoDrift", False, Reason.DRIFTING, sight.line))
    elif sight.is_judged:
        states.append(true_or_false("NoDrift", True, Reason.QUIET, sight.line))
    if (holds := sight.recall_holds) is not None:
        reason = Reason.RECALL_HOLDS if holds else Reason.RECALL_LOW
        states.append(true_or_false("RecallHolds", holds, reason, sight.line))
    if policy.spec.tolerance != AUTO or sight.report is None:
        return states
    lacks = sight.reason is Reason.BASELINE_NOT_BLOCK_CALIBRATED
    judged = [role for role in sight.report.roles if role.tolerance is not None]
    if lacks or judged:
        reason = Reason.BASELINE_NOT_BLOCK_CALIBRATED if lacks else Reason.QUIET
        of = "traffic" if policy.spec.baseline is BaselineKind.TRAFFIC else "held-out items"
        words = sight.line if lacks else f"The tolerance covers how windows of {of} differ."
        states.append(true_or_false("BaselineCalibrated", not lacks, reason, words))
    return states


def _tolerance(policy: DriftPolicy, verdict: Verdict) -> str | None:
    if policy.spec.tolerance != AUTO:
        return policy.spec.tolerance
    report = verdict.sight.report
    known = [role for role in (report.roles if report else ()) if role.tolerance is not None]
    worst = verdict.sight.worst or next(iter(known), None)
    return f"{worst.tolerance:.3f}" if worst is not None and worst.tolerance is not None else None


def _with_summary(
    status: DriftPolicyStatus,
    policy: DriftPolicy,
    summary: Summary,
    extra: list[ConditionState],
    now: str,
) -> DriftPolicyStatus:
    states = [*summary.states(), *extra]
    return status.replace(
        observed_generation=policy.generation,
        phase=str(summary.phase),
        message=summary.message,
        conditions=conditions(states, policy.status.conditions, policy.generation, now),
    )
