"""Who answers users: what a stage of this pass asks for, planned and read back."""

from __future__ import annotations

from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.traffic import entry, feasibility
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.routers.gateway import withdraw


def selected_release(context: ReconcileContext) -> str | None:
    """The release that holds the entry point, as read back; None when it selects no release."""
    selection = entry.selected(context)
    return None if selection is None else selection.holder


def has_all_requests(context: ReconcileContext, name: str) -> bool:
    """Whether it was read back that every request goes to this release."""
    selection = entry.selected(context)
    if selection is None or (selection.holder, selection.beside) != (name, None):
        return False
    return router_of(context).verify(context, Traffic(name)).holds


def shares(context: ReconcileContext) -> tuple[int, int]:
    """Percent of the requests that stable and candidate answer, as last recorded."""
    candidate, stable, holder = context.candidate, context.stable, selected_release(context)
    if candidate is not None and holder == candidate.name:
        return 0, 100
    if stable is None:
        return 0, 0
    takes = candidate is not None and facts_of(candidate.status.stage).may_take_share
    weights = candidate.status.weights if candidate is not None and takes else None
    achieved = weights.achieved if weights else 0
    return (100 - achieved if achieved or holder == stable.name else 0), achieved


def plan_traffic(context: ReconcileContext) -> None:
    """Plans the traffic that a stage of this pass chose, else all of it to the stable release.

    So a hand edit is undone, and nothing else than a stage of the candidate ever moves it.
    """
    withdraw(context)
    problem_passes = feasibility.look_again_in(context)
    if problem_passes is not None:
        context.wake_in(problem_passes)
    wanted = context.traffic
    if wanted is None and context.stable is not None:
        wanted = Traffic(context.stable.name)
    if wanted is None or entry.remnant(context) is not None:
        return
    conflict = entry.conflict(context)
    if conflict is not None:
        context.conflicts.append(conflict)
        return
    router_of(context).steer(context, wanted)
