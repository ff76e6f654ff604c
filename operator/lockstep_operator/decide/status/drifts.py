"""Drift beside the model: a sentence that stays the same while it lasts, and names the policy."""

from __future__ import annotations

from lockstep_operator.api.drift_policy import DriftPolicy
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.drift import drift_policies
from lockstep_operator.decide.policies.drift_sights import Sight, sight_of
from lockstep_operator.decide.policies.drift_watches import is_drifting, is_recall_low


def drift_note(context: ReconcileContext) -> str:
    """Empty where nothing drifts. What serves is what it was: the model stays Ready."""
    seen = [(policy, sight_of(context, policy)) for policy in drift_policies(context.snapshot)]
    drift = [policy for policy, sight in seen if _drifts(policy, sight)]
    low = [policy for policy, sight in seen if _recall_is_low(policy, sight)]
    notes = [
        f"What it embeds drifts from its baseline: see {_names(drift)}." if drift else "",
        f"An index of it finds less than its bound: see {_names(low)}." if low else "",
    ]
    return " ".join(note for note in notes if note)


def _names(policies: list[DriftPolicy]) -> str:
    return ", ".join(f"driftpolicy/{policy.name}" for policy in policies)


def _drifts(policy: DriftPolicy, sight: Sight) -> bool:
    return is_drifting(policy) if not sight.known else bool(sight.drift)


def _recall_is_low(policy: DriftPolicy, sight: Sight) -> bool:
    return is_recall_low(policy) if not sight.known else sight.recall_holds is False
