"""DriftPolicy: asks to watch the monitors of the release that serves, and tells what changed.

What is seen comes back in the next snapshot (`drift_sights`); what is to be done about it is
recorded in the policy's status first (`drift_asking`) and done in the pass after
(`releases.drift_requests`).
"""

from __future__ import annotations

from lockstep_operator.api.drift_actions import Deed, Trigger
from lockstep_operator.api.drift_policy import DriftPolicy, State
from lockstep_operator.api.objects import API_VERSION
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.plan import Reference
from lockstep_operator.decide.policies.drift_verdicts import Verdict, verdict_of
from lockstep_operator.decide.policies.drift_watches import is_drifting, is_recall_low
from lockstep_operator.decide.vocabulary.reasons import Reason


def plan(context: ReconcileContext, policies: tuple[DriftPolicy, ...]) -> None:
    """Asks what is to be watched, and tells what is new since the status was written."""
    for policy in policies:
        verdict = verdict_of(context, policy)
        if verdict.sight.watch is not None:
            context.watch.append(verdict.sight.watch)
        if verdict.sight.known:
            _tell(context, policy, verdict)


def _tell(context: ReconcileContext, policy: DriftPolicy, verdict: Verdict) -> None:
    about = Reference(API_VERSION, "DriftPolicy", policy.name, policy.uid)
    before, request = policy.status, verdict.asked.request
    alerts = any(seen.value in policy.spec.triggers_of(Deed.ALERT) for seen in verdict.sight.drift)
    if verdict.sight.state is State.DRIFTING and alerts and not is_drifting(policy):
        context.event(Reason.DRIFTING, verdict.message, warning=True, about=about)
        words = f"DriftPolicy {policy.name}: {verdict.message}"
        context.event(Reason.DRIFTING, words, warning=True)
    over = verdict.sight.is_judged and not verdict.sight.drift
    if over and verdict.state in (State.QUIET, State.RECALL_LOW) and is_drifting(policy):
        context.event(Reason.QUIET, verdict.message, about=about)
    _tell_recall(context, policy, verdict, about)
    if request is not None and (before.request is None or before.request.id != request.id):
        if not request.may_be_done:
            context.event(Reason.WAITING_FOR_APPROVAL, verdict.message, warning=True, about=about)
    elif request is not None and request.may_be_done and before.request != request:
        words = f"{request.id} was approved by {request.approved_by}"
        context.event(Reason.ACTION_APPROVED, words, about=about)
    known = {action.id for action in before.actions or ()}
    for action in verdict.asked.actions:
        if action.id not in known:
            context.event(Reason.ACTION_ENDED, f"{action.id}: {action.outcome}", about=about)


def _tell_recall(
    context: ReconcileContext, policy: DriftPolicy, verdict: Verdict, about: Reference
) -> None:
    """Once when it falls, beside any drift, and once when it holds again."""
    holds, was_low = verdict.sight.recall_holds, is_recall_low(policy)
    alerts = Trigger.RECALL_BELOW in policy.spec.triggers_of(Deed.ALERT)
    if holds is False and not was_low and alerts:
        context.event(Reason.RECALL_LOW, verdict.message, warning=True, about=about)
        words = f"DriftPolicy {policy.name}: {verdict.message}"
        context.event(Reason.RECALL_LOW, words, warning=True)
    if holds and was_low:
        context.event(Reason.RECALL_HOLDS, verdict.message, about=about)
