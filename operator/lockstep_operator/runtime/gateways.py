"""What the Gateways of a model can do: read by name, only where its steps mirror.

A class that does not know how to copy requests may accept the route all the same and answer every
request of it with 500, so the class is asked before a copy is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from lockstep_operator.api.kinds import GATEWAY, GATEWAY_CLASS
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.snapshot.observed import GatewayFacts
from lockstep_operator.runtime.client import Api
from lockstep_operator.runtime.errors import NotFound, Refused

FRESH_SECONDS = 30.0


class Gateways:
    """Remembers what it read for half a minute."""

    def __init__(self, api: Api, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, GatewayFacts]] = {}

    async def of(self, model: Object | None) -> tuple[GatewayFacts, ...]:
        """The Gateways that the spec names. Raises `ApiError` when no answer comes."""
        named = dict.fromkeys(_named(model)) if model is not None else ()
        return tuple([await self._read(namespace, name) for namespace, name in named])

    async def _read(self, namespace: str, name: str) -> GatewayFacts:
        at, now = (namespace, name), self._clock()
        known = self._known.get(at)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        facts = await self._facts(namespace, name)
        self._known[at] = now, facts
        return facts

    async def _facts(self, namespace: str, name: str) -> GatewayFacts:
        class_name = ""
        try:
            gateway = await self._api.get(GATEWAY, namespace, name)
            class_name = str(gateway["spec"]["gatewayClassName"])
            gateway_class = await self._api.get(GATEWAY_CLASS, None, class_name)
        except NotFound:
            why = f"GatewayClass {class_name} is not there" if class_name else "it is not there"
            return GatewayFacts(namespace, name, class_name, problem=why)
        except Refused as error:
            return GatewayFacts(namespace, name, class_name, problem=error.message)
        listed = (gateway_class.get("status") or {}).get("supportedFeatures")
        if listed is None:
            why = f"GatewayClass {class_name} has no `status.supportedFeatures`"
            return GatewayFacts(namespace, name, class_name, problem=why)
        return GatewayFacts(namespace, name, class_name, frozenset(map(_name_of, listed)))


def _named(model: Object) -> Iterator[tuple[str, str]]:
    """Namespace and name of each, where the steps of the model mirror."""
    rollout: Object = (model.get("spec") or {}).get("rollout") or {}
    if not any("mirror" in step for step in rollout.get("steps") or ()):
        return
    gateway = (rollout.get("traffic") or {}).get("gateway") or {}
    for parent in gateway.get("parentRefs") or ():
        yield parent.get("namespace") or model["metadata"]["namespace"], parent["name"]


def _name_of(feature: Any) -> str:
    """Gateway API v1.1 listed plain names, later versions objects."""
    return str(feature["name"] if isinstance(feature, dict) else feature)
