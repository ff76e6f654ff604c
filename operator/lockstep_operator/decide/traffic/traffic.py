"""Who answers users: what a stage of this pass asks for, steered and read back."""

from __future__ import annotations

from lockstep_operator.api.release import Stage, Weights
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.traffic import entry
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.routers.gateway import withdraw
from lockstep_operator.decide.traffic.routers.router import Traffic
from lockstep_operator.decide.workloads.children import upkeep

_WITH_WEIGHT = (Stage.CANARY, Stage.PROMOTING, Stage.ROLLING_BACK)


def selected_release(context: ReconcileContext) -> str | None:
    """The release that holds the entry point, as read back; None when it selects no release."""
    found = entry.selected(context)
    return None if found is None else found.holder


def has_all_requests(context: ReconcileContext, name: str) -> bool:
    """Whether it was read back that every request goes to this release."""
    found = entry.selected(context)
    if found is None or (found.holder, found.beside) != (name, None):
        return False
    return router_of(context).verify(context, Traffic(name)).holds


def shares(context: ReconcileContext) -> tuple[int, int]:
    """Percent of the requests that stable and candidate answer, as last recorded."""
    candidate, stable, holder = context.candidate, context.stable, selected_release(context)
    if candidate is not None and holder == candidate.name:
        return 0, 100
    if stable is None:
        return 0, 0
    takes = candidate is not None and candidate.status.stage in _WITH_WEIGHT
    weights = candidate.status.weights if candidate is not None and takes else None
    found = weights.achieved if weights else 0
    return (100 - found if found or holder == stable.name else 0), found


def record_weight(context: ReconcileContext, name: str, wanted: Traffic) -> None:
    """Records a weight that moved with no step of its own: by other steps, a hold, other replicas.

    Written once the pods of both have settled, so that a pod that comes and goes is no write.
    """
    weights = context.release(name).status.weights
    had = (weights.asked, weights.achieved) if weights else (0, 0)
    both = (context.release(wanted.holder), context.release(name))
    if wanted.weight and not all(upkeep(context, release).whole for release in both):
        return
    routed = router_of(context).verify(context, wanted)
    found = wanted.weight, routed.achieved
    if found != had and (routed.holds or wanted.weight == had[0]):
        weights = Weights(asked=found[0], achieved=found[1], since=context.now)
        context.change(name, weights=weights)
        context.replan()


def steer(context: ReconcileContext) -> None:
    """Brings the traffic to what a stage of this pass chose, else to the stable release.

    So a hand edit is undone, and nothing else than a stage of the candidate ever moves it.
    """
    withdraw(context)
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
