"""The rules of each kind of `kinds.POLICIES`: `plan` of the module of this package with its name.

Say that there is a kind DriftPolicy. Its `drift_policy.py` has `plan(context, policies)`, which
sees the final records of the pass and adds deeds to its plan. What such a kind is stands in
`api/drift_policy.py`, what it tells in `status/drift_policy_status.py`. A kind without one of them
fails when the operator starts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from lockstep_operator.api.kinds import POLICIES, ResourceKind
from lockstep_operator.api.objects import Resource
from lockstep_operator.decide.context.context import ReconcileContext

Rules = Callable[[ReconcileContext, tuple[Resource[Any, Any], ...]], None]


def _rules_of(kind: ResourceKind) -> Rules:
    plan: Rules = import_module(f"{__package__}.{kind.module}").plan
    return plan


RULES = {kind: _rules_of(kind) for kind in POLICIES}


def plan_policies(context: ReconcileContext) -> None:
    """Lets each kind plan for those of its objects that can be read."""
    for policies in context.snapshot.policies:
        RULES[policies.kind](context, policies.objects)
