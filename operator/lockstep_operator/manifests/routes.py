"""The route of the Gateway API: the weights between releases, outside of the cluster's own entry.

Everything that the API server would fill in stands here already, so that what it stores is what was
asked, and a comparison of both can be exact: rules, matches, filters and backends have one owner
for the whole list, and any item that someone else adds is a way around the weights.
"""

from __future__ import annotations

from lockstep_core.protocol import headers
from lockstep_core.protocol.environment import SERVING_PORT
from lockstep_operator.api.kinds import GATEWAY_GROUP, HTTP_ROUTE
from lockstep_operator.api.objects import Model, Object
from lockstep_operator.api.traffic import ParentRef
from lockstep_operator.manifests.metadata import (
    Component,
    metadata,
    owned_by_model,
    standard_labels,
)
from lockstep_operator.manifests.names import encoder_name, short_name


def http_route(
    model: Model, holder: str, *, candidate: str | None = None, weight: int = 0, mirror: int = 0
) -> Object:
    """One HTTPRoute, named as the model, to Services that belong to one release each.

    `candidate` answers `weight` percent of the requests and gets copies of `mirror` percent, and
    testers reach either release by its name in `x-lockstep-release`. No other release is a backend,
    so no header leads to one. Both are listed while there is a candidate: a change of the weight is
    a change of two numbers. Raises ValueError when the spec names no Gateway.
    """
    gateway = model.spec.rollout.traffic.gateway
    if gateway is None:
        raise ValueError(f"EmbeddingModel {model.name} names no Gateway")
    shares = {holder: 100} if candidate is None else {holder: 100 - weight, candidate: weight}
    rules = [] if candidate is None else [_by_name(candidate), _by_name(holder)]
    return {
        **HTTP_ROUTE.type_meta,
        "metadata": metadata(
            model.name,
            model.namespace,
            standard_labels(model.name, Component.ENTRY),
            owned_by_model(model),
        ),
        "spec": {
            "parentRefs": [_parent(parent) for parent in gateway.parent_refs],
            # Empty means all: written down, so that one added by hand is noticed.
            "hostnames": list(gateway.hostnames),
            "rules": [*rules, _by_weight(shares, candidate, mirror)],
        },
    }


def _by_name(release: str) -> Object:
    """For testers. Two matches of one rule: `r13` and `products-r13`. Never mirrored."""
    matches = [
        {
            "path": _all_paths(),
            "headers": [{"type": "Exact", "name": headers.RELEASE, "value": value}],
        }
        for value in (short_name(release), release)
    ]
    return {"matches": matches, "filters": [], "backendRefs": [_weighted(release, 100)]}


def _by_weight(shares: dict[str, int], candidate: str | None, mirror: int) -> Object:
    """For everybody else. It matches less than a rule with a header, so it comes after those."""
    filters: list[Object] = []
    if candidate is not None and mirror:
        copied = {"backendRef": _backend(candidate), "percent": mirror}
        filters.append({"type": "RequestMirror", "requestMirror": copied})
    return {
        "matches": [{"path": _all_paths()}],
        "filters": filters,
        "backendRefs": [_weighted(release, weight) for release, weight in shares.items()],
    }


def _all_paths() -> Object:
    return {"type": "PathPrefix", "value": "/"}


def _weighted(release: str, weight: int) -> Object:
    return {**_backend(release), "weight": weight}


def _backend(release: str) -> Object:
    name = encoder_name(release)
    return {"group": "", "kind": "Service", "name": name, "port": SERVING_PORT}


def _parent(parent: ParentRef) -> Object:
    return {"group": GATEWAY_GROUP, "kind": "Gateway", **parent.to_wire()}
