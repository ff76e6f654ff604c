"""What a route's parents say of it: `status.parents`, by parent and by generation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lockstep_operator.api.objects import Object
from lockstep_operator.api.traffic import ParentRef

# A controller may hear of a route before it hears of its Services: that passes.
_PASSING = frozenset({"BackendNotFound", "Pending"})
_FIXES = {
    "NotAllowedByListeners": "let its listener take routes of this namespace"
    " (`spec.listeners[].allowedRoutes`), or name another Gateway",
    "NoMatchingListenerHostname": "set `spec.rollout.traffic.gateway.hostnames` to names that its"
    " listener serves",
    "NoMatchingParent": "name a listener that it has in"
    " `spec.rollout.traffic.gateway.parentRefs[].sectionName`",
    "UnsupportedValue": "remove what its class does not support (a `mirror` step), or name a"
    " Gateway of another class",
    "IncompatibleFilters": "remove the `mirror` steps, or name a Gateway of another class",
}
_FIX = "see the status of the Gateway and the log of its controller"

# A controller need not look at a route again that it refused. A new one it has to read.
_STALE = "; where that is mended and this stays, delete the route: it is made anew within seconds"


class Stand(StrEnum):
    """What one parent says of a route."""

    UNHEARD = "Unheard"  # nothing
    OUTDATED = "Outdated"  # something, of an earlier generation
    UNDATED = "Undated"  # something, and not of which generation
    REFUSED = "Refused"
    ACTING = "Acting"


@dataclass(frozen=True)
class Found:
    """`told`: the controller's own condition, reason and message. `serves`: the parent answers
    requests of the route all the same, if wrongly. `lasting`: it will not pass by itself."""

    stand: Stand
    told: str = ""
    fix: str = ""
    serves: bool = False
    lasting: bool = False


def name_of(ref: ParentRef, namespace: str) -> str:
    """`Gateway infra/edge`."""
    return f"Gateway {ref.namespace or namespace}/{ref.name}"


def stand(route: Object, ref: ParentRef) -> Found:
    """What the parent says of the stored generation of the route."""
    found = [_of_one(route, said) for said in _said(route, ref)]
    order = (Stand.UNDATED, Stand.REFUSED, Stand.OUTDATED, Stand.ACTING)
    return min(found, key=lambda f: order.index(f.stand), default=Found(Stand.UNHEARD))


def _said(route: Object, ref: ParentRef) -> Iterator[Object]:
    """Each controller's entry about this parent: one, but for a handover between two."""
    own = route["metadata"].get("namespace")
    for said in (route.get("status") or {}).get("parents") or ():
        about = said.get("parentRef") or {}
        place = about.get("namespace") or own, about.get("name"), about.get("sectionName")
        if place == (ref.namespace or own, ref.name, ref.section_name):
            yield said


def _of_one(route: Object, said: Object) -> Found:
    generation = route["metadata"].get("generation")
    conditions = {c["type"]: c for c in said.get("conditions") or ()}
    asked = [conditions.get("Accepted"), conditions.get("ResolvedRefs")]
    partial = conditions.get("PartiallyInvalid")
    seen = [found.get("observedGeneration") for found in (*asked, partial) if found is not None]
    if None in seen:
        return Found(Stand.UNDATED)
    if any(each != generation for each in seen):
        return Found(Stand.OUTDATED)
    accepted, resolved = asked
    if accepted is not None and accepted["status"] == "False":
        return _refused(accepted, serves=False)
    if resolved is not None and resolved["status"] == "False":
        return _refused(resolved, serves=True)
    if partial is not None and partial["status"] == "True":
        return _refused(partial, serves=True)
    if any(found is None or found["status"] != "True" for found in asked):
        return Found(Stand.OUTDATED)
    return Found(Stand.ACTING)


def _refused(condition: Object, *, serves: bool) -> Found:
    reason = str(condition.get("reason") or "")
    told = f"{condition['type']}={condition['status']}, {reason}"
    if condition.get("message"):
        told += f": {str(condition['message']).rstrip('.')}"
    fix = _FIXES.get(reason, _FIX)
    if not serves and reason not in _PASSING:
        fix += _STALE
    return Found(Stand.REFUSED, told, fix, serves=serves, lasting=reason not in _PASSING)
