"""The router that a model's spec names."""

from __future__ import annotations

from lockstep_operator.api.traffic import RouterName
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.traffic.routers.gateway import GatewayAPI
from lockstep_operator.decide.traffic.routers.replicas import Replicas
from lockstep_operator.decide.traffic.routers.router import Router

_ROUTERS: dict[RouterName, Router] = {
    RouterName.REPLICAS: Replicas(),
    RouterName.GATEWAY_API: GatewayAPI(),
}


def router_of(context: ReconcileContext) -> Router:
    return _ROUTERS[context.model.spec.rollout.traffic.router]
