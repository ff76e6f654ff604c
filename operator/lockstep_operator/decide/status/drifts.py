"""Drift beside the model: a sentence that stays the same while it lasts, and names the policy."""

from __future__ import annotations

import dataclasses

from lockstep_operator.api.drift_policy import DriftPolicy
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.drift import drift_policies
from lockstep_operator.decide.policies.drift_verdicts import verdict_of
from lockstep_operator.decide.policies.drift_watches import is_drifting
from lockstep_operator.decide.status.kstatus import Summary


def with_drift(context: ReconcileContext, summary: Summary) -> Summary:
    """What serves is what it was: the model stays Ready, and says so."""
    policies = [p for p in drift_policies(context.snapshot) if _drifts(context, p)]
    if not policies:
        return summary
    names = ", ".join(f"driftpolicy/{policy.name}" for policy in policies)
    message = f"{summary.message} What it embeds drifts from its baseline: see {names}."
    return dataclasses.replace(summary, message=message)


def _drifts(context: ReconcileContext, policy: DriftPolicy) -> bool:
    sight = verdict_of(context, policy).sight
    return is_drifting(policy) if not sight.known else bool(sight.seen)
