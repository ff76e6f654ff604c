"""The router that a model's spec names."""

from __future__ import annotations

from lockstep_operator.api.rollout import RouterName
from lockstep_operator.decide.draft import Draft
from lockstep_operator.decide.routers.gateway import GatewayAPI
from lockstep_operator.decide.routers.replicas import Replicas
from lockstep_operator.decide.routers.router import Router

_ROUTERS: dict[RouterName, Router] = {
    RouterName.REPLICAS: Replicas(),
    RouterName.GATEWAY_API: GatewayAPI(),
}


def router_of(draft: Draft) -> Router:
    return _ROUTERS[draft.model.spec.rollout.traffic.router]
