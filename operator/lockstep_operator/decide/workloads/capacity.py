"""How many encoder pods each release should have: the one place that knows.

`Availability` gives stable all of `serving.replicas` until it is replaced, and the candidate its
own pods beside. `ResourceAware` shares `serving.replicas` between both, so that a rollout needs no
spare GPU (at `replicas: 1` it needs one all the same: nothing can be halved). With an autoscaler
these are the fewest that it may choose.
"""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.rollout import Capacity
from lockstep_operator.api.traffic import RouterName
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.traffic.routers.choice import router_of
from lockstep_operator.decide.traffic.scaling import encoder_total, live_replicas
from lockstep_operator.decide.traffic.steps import (
    has_canary,
    mirror_at,
    plan_of,
    under_way,
    weight_at,
)
from lockstep_operator.manifests.scaling import Bounds


def encoder_replicas(context: ReconcileContext, release: Release) -> int:
    """Encoder pods that a release should have now."""
    total = encoder_total(context)
    candidate, stable = context.candidate, context.stable
    if candidate is not None and release.name == candidate.name:
        return _of_candidate(context, release, total)
    if not _is_shared(context):
        return total
    if release.status.stage is Stage.RETAINED:
        return 0
    if candidate is None or stable is None or release.name != stable.name:
        return total
    if facts_of(candidate.status.stage).takes_pods:
        # At least one: a release that answers requests is never scaled away.
        return max(1, total - _of_candidate(context, candidate, total))
    return total


def scaling_bounds(context: ReconcileContext, release: Release) -> Bounds | None:
    """What the release's autoscaler may choose from; None where none is asked for.

    Whoever may take requests over is kept at the size of stable (with steps, of its share), as it
    would be by `replicas`: nothing loads it yet. Stable keeps what it has while a candidate takes
    requests from it, because it may have to take them back.
    """
    scaling = context.model.spec.serving.autoscaling
    if scaling is None:
        return None
    candidate, stable = context.candidate, context.stable
    if stable is None or release.name == stable.name:
        shrinks = (
            stable is None or candidate is None or not facts_of(candidate.status.stage).runs_pods
        )
        return Bounds(scaling.min_replicas, scaling.max_replicas, shrinks)
    low = min(encoder_replicas(context, release), scaling.max_replicas)
    return Bounds(max(scaling.min_replicas, low), scaling.max_replicas)


def _is_shared(context: ReconcileContext) -> bool:
    return context.model.spec.rollout.capacity is Capacity.RESOURCE_AWARE


def _of_candidate(context: ReconcileContext, release: Release, total: int) -> int:
    status, live = release.status, live_replicas(context, release)
    if context.stable is None:
        return total
    if status.stage is Stage.ROLLING_BACK:
        # They go all at once when it ends: what reached them is still answered.
        return max(1, live or 1)
    if status.stage is Stage.PROMOTING and status.step is not None:
        # After its steps it grows to what it needs; where pods are shared, to all but the one that
        # stable keeps until the switch.
        return max(1, total - 1) if _is_shared(context) else total
    if status.stage is Stage.PROMOTING and not _is_shared(context):
        return total
    if not has_canary(context, release):
        return (
            max(1, total // 2)
            if _is_shared(context) and facts_of(status.stage).takes_pods
            else total
        )
    return router_of(context).replicas_for(context, *_load(context, release))


def _load(context: ReconcileContext, release: Release) -> tuple[int, int]:
    """Percent of the requests, and of copies, that a candidate needs pods for."""
    steps, status = plan_of(context), release.status
    if status.stage is not Stage.CANARY:
        at = steps.first_with_traffic
        return weight_at(steps, at), mirror_at(steps, at)
    at = under_way(context, release)
    asked = weight_at(steps, at)
    if context.model.spec.rollout.traffic.router is not RouterName.REPLICAS and status.weights:
        # Where pods are not the weight itself, they stay until it was read back that it fell.
        asked = max(asked, status.weights.asked)
    return asked, mirror_at(steps, at)
