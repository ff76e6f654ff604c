"""Whether the steps of a model can be taken at all, known before anything waits for them."""

from __future__ import annotations

from lockstep_operator.api.traffic import RouterName
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.traffic.routers.choice import router_of


def problem(context: ReconcileContext) -> str | None:
    """Why the steps cannot be taken, with the fix; None when they can, or when there are none.

    A route that a Gateway refuses is a problem without steps too: no request gets through it.
    """
    spec = context.model.spec
    if not spec.rollout.steps and spec.rollout.traffic.router is RouterName.REPLICAS:
        return None
    autoscaled = spec.serving.autoscaling is not None
    if autoscaled and spec.rollout.traffic.router is RouterName.REPLICAS:
        return (
            "`spec.serving.autoscaling` is set beside `spec.rollout.steps` and the router"
            " `Replicas`: a weight that is a share of pods cannot be held while another controller"
            " counts them; set `spec.rollout.traffic.router: GatewayAPI`, or remove one of both"
        )
    return router_of(context).problem(context)


def look_again_in(context: ReconcileContext) -> float | None:
    """Seconds after which the problem may have passed, where no event reports that."""
    spec = context.model.spec
    if not spec.rollout.steps and spec.rollout.traffic.router is RouterName.REPLICAS:
        return None
    return router_of(context).look_again_in(context)
