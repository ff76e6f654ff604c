"""The weight of a candidate that moved with no step of its own."""

from __future__ import annotations

from lockstep_operator.api.traffic_records import Weights
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.workloads.children import health_of


def record_weight(context: ReconcileContext, name: str, wanted: Traffic) -> None:
    """Records a weight that moved with no step of its own: by other steps, a hold, other replicas.

    Written once the pods of both have settled, so that a pod that comes and goes is no write.
    """
    weights = context.release(name).status.weights
    had = (weights.asked, weights.achieved) if weights else (0, 0)
    both = (context.release(wanted.holder), context.release(name))
    if wanted.weight and not all(health_of(context, release).ready for release in both):
        return
    routed = router_of(context).verify(context, wanted)
    current = wanted.weight, routed.achieved
    if current != had and (routed.holds or wanted.weight == had[0]):
        weights = Weights(asked=current[0], achieved=current[1], since=context.now)
        context.change(name, weights=weights)
