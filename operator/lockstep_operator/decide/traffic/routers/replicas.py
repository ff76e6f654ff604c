"""Plain Kubernetes: both releases stand behind the entry point, and the share of ready pods is the
share of the requests. Connections are spread evenly; servers age them, so that shares hold.
"""

from __future__ import annotations

from lockstep_operator.api.objects import Object
from lockstep_operator.api.rollout import Capacity
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.traffic import Routed, Traffic
from lockstep_operator.decide.traffic import entry
from lockstep_operator.manifests import encoder_name

# Percentage points by which a step may miss its weight. Pods come whole.
TOLERANCE = 10


class Replicas:
    """The share of ready pods."""

    def problem(self, context: ReconcileContext) -> str | None:
        model = context.model
        rollout, replicas = model.spec.rollout, model.spec.serving.replicas
        for number, step in enumerate(rollout.steps, start=1):
            if step.mirror is not None:
                return (
                    f"`spec.rollout.steps[{number - 1}].mirror` is {step.mirror}, and the router"
                    " `Replicas` cannot copy requests: remove the step, or set"
                    " `spec.rollout.traffic.router: GatewayAPI`"
                )
            if step.set_weight in (None, 0, 100):
                continue
            reached = self._reached(context, step.set_weight or 0)
            if abs(reached - (step.set_weight or 0)) > TOLERANCE:
                return (
                    f"`spec.rollout.steps[{number - 1}].setWeight` is {step.set_weight}, and with"
                    f" `spec.serving.replicas: {replicas}` and `capacity: {rollout.capacity}` the"
                    f" share of ready pods that comes nearest is {reached:.0f}%: set another"
                    " weight, more replicas, `capacity: ResourceAware`, or"
                    " `traffic.router: GatewayAPI`"
                )
        return None

    def look_again_in(self, context: ReconcileContext) -> float | None:
        return None  # all that it depends on is watched

    def replicas_for(self, context: ReconcileContext, weight: int, mirror: int) -> int:
        total = context.model.spec.serving.replicas
        if _is_shared(context):
            return _clamp(round(total * weight / 100), 1, max(1, total - 1))
        if weight >= 100:
            return total
        return _clamp(round(total * weight / (100 - weight)), 1, total)

    def steer(self, context: ReconcileContext, wanted: Traffic) -> None:
        beside = wanted.candidate if wanted.weight else None
        entry.point_at(context, wanted.holder, beside=beside)

    def verify(self, context: ReconcileContext, wanted: Traffic) -> Routed:
        selected = entry.selected(context)
        beside = wanted.candidate if wanted.weight else None
        if selected is None or (selected.holder, selected.beside) != (wanted.holder, beside):
            other = None if selected is None or selected.beside is None else selected.beside
            achieved = _share(context, selected.holder, other) if selected and other else 0
            return Routed(False, achieved, "the entry point is not as asked yet")
        if beside is None:
            return Routed(True, 0)
        achieved = _share(context, wanted.holder, beside)
        holds = abs(achieved - wanted.weight) <= TOLERANCE
        return Routed(holds, achieved, "" if holds else "the share of ready pods is not there yet")

    def _reached(self, context: ReconcileContext, weight: int) -> float:
        total, own = context.model.spec.serving.replicas, self.replicas_for(context, weight, 0)
        others = max(1, total - own) if _is_shared(context) else total
        return 100 * own / (own + others)


def _is_shared(context: ReconcileContext) -> bool:
    return context.model.spec.rollout.capacity is Capacity.RESOURCE_AWARE


def _share(context: ReconcileContext, holder: str, beside: str) -> int:
    """Percent of the ready encoder pods that are the candidate's."""
    there, here = _ready(context, holder), _ready(context, beside)
    return round(100 * here / (here + there)) if here + there else 0


def _ready(context: ReconcileContext, name: str) -> int:
    release = context.release(name)
    deployment: Object | None = context.snapshot.child(
        "Deployment", encoder_name(name), release.uid
    )
    return int(((deployment or {}).get("status") or {}).get("readyReplicas") or 0)


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
