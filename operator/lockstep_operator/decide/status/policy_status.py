"""The statuses of kinds of `kinds.POLICIES`: of each kind by the module here that has its name.

Say that there is a kind DriftPolicy. Its `drift_policy_status.py` has what `index_status.py` has of
VectorIndex, each of which returns the whole status: `project(context, policy)`,
`without_model(policy, model, now)` and `broken(raw, problem, now)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

from lockstep_core.protocol.base import Contract
from lockstep_operator.api.kinds import POLICIES, ResourceKind
from lockstep_operator.api.objects import Object, Resource
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot.observed import Observed
from lockstep_operator.decide.snapshot.snapshot import Policies, read_policies

# Kind, the object as it is, and its whole status.
Projection = tuple[str, Object, Object]


def _module_of(kind: ResourceKind) -> Any:
    return import_module(f"{__package__}.{kind.module}_status")


MODULES = {kind: _module_of(kind) for kind in POLICIES}


def project_policies(context: ReconcileContext) -> Iterator[Projection]:
    """Of all policies that name the model."""
    for policies in context.snapshot.policies:
        project = MODULES[policies.kind].project
        yield from _statuses(policies, partial(project, context), context.now)


def policies_without_model(observed: Observed, now: str) -> Iterator[Projection]:
    """Of all policies whose model is not there."""
    for policies in read_policies(observed):
        tell = MODULES[policies.kind].without_model
        yield from _statuses(policies, partial(tell, model=observed.name, now=now), now)


def _statuses(
    policies: Policies, status_of: Callable[[Resource[Any, Any]], Contract], now: str
) -> Iterable[Projection]:
    kind = policies.kind
    for policy in policies.objects:
        yield kind.kind, policy.raw, status_of(policy).to_wire()
    for wrong in policies.broken:
        status = MODULES[kind].broken(wrong.raw, wrong.message, now)
        yield kind.kind, wrong.raw, status.to_wire()
