"""The Gateway API: the weights of one HTTPRoute that the operator owns.

Requests from inside the cluster come by the entry Service, which selects the holder alone. The
route counts only once the Gateways' own controller reports that it acts on it: each parent has
read this generation, accepts it and found its backends.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from lockstep_operator import manifests
from lockstep_operator.api.kinds import HTTP_ROUTE
from lockstep_operator.api.objects import Object
from lockstep_operator.api.rollout import Capacity
from lockstep_operator.api.traffic import Mirroring, ParentRef, RouterName
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.plan import Reference
from lockstep_operator.decide.context.traffic import Routed, Traffic
from lockstep_operator.decide.traffic import entry
from lockstep_operator.decide.traffic.routers import parents
from lockstep_operator.decide.traffic.routers.parents import ParentState
from lockstep_operator.decide.traffic.scaling import encoder_total
from lockstep_operator.decide.vocabulary.compare import (
    difference,
    spec_difference,
    was_applied,
)
from lockstep_operator.manifests.routes import http_route

KIND = HTTP_ROUTE.kind
# As the Gateway API names them in `GatewayClass.status.supportedFeatures`.
MIRROR = "HTTPRouteRequestMirror"
MIRROR_PERCENT = "HTTPRouteRequestPercentageMirror"
# A class may learn, a Gateway may get another one: neither is watched.
LOOK_AGAIN_SECONDS = 60.0


UNDATED = (
    "does not say which change of the HTTPRoute it has read (its conditions have no"
    " `observedGeneration`), so no weight can be told from the one before: name a Gateway of"
    " another class, or set `spec.rollout.traffic.router: Replicas`"
)


class GatewayAPI:
    """The weights of an HTTPRoute."""

    def problem(self, context: ReconcileContext) -> str | None:
        model = context.model
        if not context.snapshot.observed.gateway_api:
            return (
                "`spec.rollout.traffic.router` is GatewayAPI, and the cluster has no kind HTTPRoute"
                " of gateway.networking.k8s.io/v1 that the operator may list: install the Gateway"
                " API and a controller for it, or set `router: Replicas`"
            )
        conflict = context.snapshot.conflict(KIND, model.name, model.uid)
        if conflict is not None:
            return conflict
        refusal = context.snapshot.refusal(KIND, model.name)
        if refusal is not None:
            return (
                f"HTTPRoute {model.name} was refused by the API server: {refusal.message}; mend"
                " `spec.rollout.traffic.gateway`"
            )
        return _mirror_problem(context) or _refused_by_parent(context)

    def look_again_in(self, context: ReconcileContext) -> float | None:
        # Without the kind there is nothing to look at; when it comes, that is observed.
        may_pass = context.snapshot.observed.gateway_api and _mirror_problem(context) is not None
        return LOOK_AGAIN_SECONDS if may_pass else None

    def replicas_for(self, context: ReconcileContext, weight: int, mirror: int) -> int:
        """The pods that the share needs, copies counted like requests; at least one."""
        total = encoder_total(context)
        shared = context.model.spec.rollout.capacity is Capacity.RESOURCE_AWARE
        most = max(1, total - 1) if shared and weight < 100 else total
        return max(1, min(ceil(total * max(weight, mirror) / 100), most))

    def steer(self, context: ReconcileContext, wanted: Traffic) -> None:
        entry.point_at(context, wanted.holder)
        snapshot, model = context.snapshot, context.model
        if not snapshot.observed.gateway_api or snapshot.remnant(KIND, model.name, model.uid):
            return
        conflict, live = snapshot.conflict(KIND, model.name, model.uid), _live(context)
        if conflict is not None:
            context.conflicts.append(conflict)
            if snapshot.refusal(KIND, model.name) is None:
                return
            # Known from a refused write alone: asked again (the applier looks at the owner first),
            # for only then does the refusal stay known.
        manifest = _wanted(context, wanted)
        if live is None or difference(manifest, live) is not None:
            context.apply.append(manifest)

    def verify(self, context: ReconcileContext, wanted: Traffic) -> Routed:
        live, achieved = _live(context), _achieved(context, wanted.holder)
        selected = entry.selected(context)
        if selected is None or (selected.holder, selected.beside) != (wanted.holder, None):
            return Routed(False, achieved, "the entry point is not as asked yet")
        if wanted.candidate is None and not context.snapshot.observed.gateway_api:
            # Without the kind there is no way in but the entry point.
            return Routed(True, 0)
        if live is None:
            return Routed(False, achieved, f"HTTPRoute {context.model.name} is not there yet")
        if wanted.mirror and _cannot_copy(context, wanted.mirror):
            return Routed(False, achieved, "the Gateways cannot copy requests")
        manifest = _wanted(context, wanted)
        changed = spec_difference(manifest, live)
        if changed is not None:
            lacks = f"HTTPRoute {context.model.name} is not as asked yet"
            # What was applied from this very manifest is otherwise by another's doing.
            lacks += f": something else changes `{changed}`" if was_applied(manifest, live) else ""
            return Routed(False, achieved, lacks)
        lacking = next(_lacking(context, live, wanted), None)
        return Routed(lacking is None, achieved, lacking or "")


def withdraw(context: ReconcileContext) -> None:
    """Plans the end of a route that the spec does not ask for any more."""
    live = _live(context)
    if context.model.spec.rollout.traffic.router is RouterName.GATEWAY_API or live is None:
        return
    if "deletionTimestamp" not in live["metadata"]:
        metadata = live["metadata"]
        context.delete.append(
            Reference(live["apiVersion"], KIND, metadata["name"], metadata["uid"])
        )


def _live(context: ReconcileContext) -> Object | None:
    return context.snapshot.child(KIND, context.model.name, context.model.uid)


def _wanted(context: ReconcileContext, wanted: Traffic) -> Object:
    """The route. Copies are asked only of a class that lists them, or that a person trusts: another
    may accept the route and answer every request of it with 500."""
    return http_route(
        context.model,
        wanted.holder,
        candidate=wanted.candidate,
        weight=wanted.weight,
        mirror=0 if _cannot_copy(context, wanted.mirror) else wanted.mirror,
    )


def _parent_refs(context: ReconcileContext) -> list[ParentRef]:
    gateway = context.model.spec.rollout.traffic.gateway
    return gateway.parent_refs if gateway is not None else []


def _achieved(context: ReconcileContext, holder: str) -> int:
    """Percent of the requests that the stored route sends to another release than the holder."""
    rules = ((_live(context) or {}).get("spec") or {}).get("rules") or [{}]
    backends = rules[-1].get("backendRefs") or []
    total = sum(backend.get("weight", 1) for backend in backends)
    name = manifests.encoder_name(holder)
    others = sum(backend.get("weight", 1) for backend in backends if backend["name"] != name)
    return round(100 * others / total) if total else 0


def _lacking(context: ReconcileContext, live: Object, wanted: Traffic) -> Iterator[str]:
    """What the parents have not reported yet of the stored route."""
    for ref in _parent_refs(context):
        report = parents.report_of(live, ref)
        parent = parents.name_of(ref, context.model.namespace)
        if report.state is ParentState.NOT_OBSERVED and wanted.candidate is not None:
            yield (
                f"{parent} has not taken up HTTPRoute {context.model.name}: is it there, and does a"
                " controller serve its class?"
            )
        elif report.state is ParentState.UNDATED:
            yield f"{parent} {UNDATED}"
        elif report.state is ParentState.OUTDATED:
            yield f"{parent} has not read the last change of HTTPRoute {context.model.name}"
        elif report.state is ParentState.REFUSED and (
            wanted.candidate is not None or report.serves
        ):
            yield f"{parent} does not act on HTTPRoute {context.model.name} ({report.message})"


def _refused_by_parent(context: ReconcileContext) -> str | None:
    live = _live(context)
    if live is None:
        return None
    for ref in _parent_refs(context):
        report, parent = parents.report_of(live, ref), parents.name_of(ref, context.model.namespace)
        if report.state is ParentState.REFUSED and report.lasting:
            return (
                f"{parent} refuses HTTPRoute {context.model.name} ({report.message}): {report.fix}"
            )
        if report.state is ParentState.UNDATED:
            return f"{parent} {UNDATED}"
    return None


def _mirror_problem(context: ReconcileContext) -> str | None:
    for number, step in enumerate(context.model.spec.rollout.steps):
        why = _cannot_copy(context, step.mirror or 0)
        if why is not None:
            return f"`spec.rollout.steps[{number}].mirror` is {step.mirror}, and {why}"
    return None


def _cannot_copy(context: ReconcileContext, percent: int) -> str | None:
    """Why `percent` of the requests cannot be copied by all of the Gateways, and what would mend
    it; None when they can."""
    if not percent:
        return None
    needed = {MIRROR} if percent == 100 else {MIRROR, MIRROR_PERCENT}
    known = {(g.namespace, g.name): g for g in context.snapshot.observed.gateways}
    for ref in _parent_refs(context):
        parent = parents.name_of(ref, context.model.namespace)
        facts = known.get((ref.namespace or context.model.namespace, ref.name))
        if facts is None or facts.features is None:
            if _is_trusted(context):
                continue
            why = facts.problem if facts is not None else "it was not read"
            return (
                f"it is not known whether {parent} can copy requests ({why}): remove the step, name"
                " a Gateway whose class lists that it can, or, if you saw this one copy, set"
                " `spec.rollout.traffic.gateway.mirroring: Trusted`"
            )
        lacking = sorted(needed - facts.features)
        if lacking:
            return (
                f"the class {facts.class_name} of {parent} does not list {' and '.join(lacking)} in"
                " `status.supportedFeatures`: remove the step, or name a Gateway whose class can"
                " copy requests"
            )
    return None


def _is_trusted(context: ReconcileContext) -> bool:
    """Whether the silence of a class counts as yes. What a class lists is believed all the same."""
    gateway = context.model.spec.rollout.traffic.gateway
    return gateway is not None and gateway.mirroring is Mirroring.TRUSTED
