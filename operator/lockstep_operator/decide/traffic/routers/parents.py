"""What a route's parents report of it: `status.parents`, by parent and by generation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lockstep_operator.api.objects import Object
from lockstep_operator.api.traffic import ParentRef

# A controller may see a route before it sees its Services: that passes.
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


class ParentState(StrEnum):
    """What one parent has done with a route."""

    NOT_OBSERVED = "NotObserved"  # no report of it
    OUTDATED = "Outdated"  # its report is of an earlier generation
    UNDATED = "Undated"  # its report does not say of which generation
    REFUSED = "Refused"
    ACTING = "Acting"


@dataclass(frozen=True)
class ParentReport:
    """The report of one parent.

    `message`: the controller's own condition, reason and message. `serves`: the parent answers
    requests of the route all the same, if wrongly. `lasting`: it will not pass by itself.
    """

    state: ParentState
    message: str = ""
    fix: str = ""
    serves: bool = False
    lasting: bool = False


def name_of(ref: ParentRef, namespace: str) -> str:
    """`Gateway infra/edge`."""
    return f"Gateway {ref.namespace or namespace}/{ref.name}"


def report_of(route: Object, ref: ParentRef) -> ParentReport:
    """What the parent reports of the stored generation of the route."""
    reports = [_of_one(route, entry) for entry in _entries(route, ref)]
    order = (
        ParentState.UNDATED,
        ParentState.REFUSED,
        ParentState.OUTDATED,
        ParentState.ACTING,
    )
    silent = ParentReport(ParentState.NOT_OBSERVED)
    return min(reports, key=lambda report: order.index(report.state), default=silent)


def _entries(route: Object, ref: ParentRef) -> Iterator[Object]:
    """Each controller's entry about this parent: one, but for a handover between two."""
    own = route["metadata"].get("namespace")
    for entry in (route.get("status") or {}).get("parents") or ():
        about = entry.get("parentRef") or {}
        named = about.get("namespace") or own, about.get("name"), about.get("sectionName")
        if named == (ref.namespace or own, ref.name, ref.section_name):
            yield entry


def _of_one(route: Object, entry: Object) -> ParentReport:
    generation = route["metadata"].get("generation")
    conditions = {c["type"]: c for c in entry.get("conditions") or ()}
    asked = [conditions.get("Accepted"), conditions.get("ResolvedRefs")]
    partial = conditions.get("PartiallyInvalid")
    seen = [one.get("observedGeneration") for one in (*asked, partial) if one is not None]
    if None in seen:
        return ParentReport(ParentState.UNDATED)
    if any(each != generation for each in seen):
        return ParentReport(ParentState.OUTDATED)
    accepted, resolved = asked
    if accepted is not None and accepted["status"] == "False":
        return _refused(accepted, serves=False)
    if resolved is not None and resolved["status"] == "False":
        return _refused(resolved, serves=True)
    if partial is not None and partial["status"] == "True":
        return _refused(partial, serves=True)
    if any(condition is None or condition["status"] != "True" for condition in asked):
        return ParentReport(ParentState.OUTDATED)
    return ParentReport(ParentState.ACTING)


def _refused(condition: Object, *, serves: bool) -> ParentReport:
    reason = str(condition.get("reason") or "")
    message = f"{condition['type']}={condition['status']}, {reason}"
    if condition.get("message"):
        message += f": {str(condition['message']).rstrip('.')}"
    fix = _FIXES.get(reason, _FIX)
    if not serves and reason not in _PASSING:
        fix += _STALE
    return ParentReport(
        ParentState.REFUSED, message, fix, serves=serves, lasting=reason not in _PASSING
    )
