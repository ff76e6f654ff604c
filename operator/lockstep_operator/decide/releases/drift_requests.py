"""What drift policies asked for, done: the records move by what the policies' statuses hold.

A request stands in its policy's status before it is done, and the release that is made for it
carries its id: a crash between the two finds the request again, and after it the release.
"""

from __future__ import annotations

from lockstep_operator.api.drift_actions import Deed, Request
from lockstep_operator.api.drift_policy import DriftPolicy
from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Cause, DriftOrigin
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.drift import drift_policies
from lockstep_operator.decide.releases.model import make_release
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.stages.returning import return_to
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.drift_deeds import known_data, made_for, not_yet
from lockstep_operator.manifests import short_name


def answer_drift(context: ReconcileContext) -> Object | None:
    """Does the first request that may be done now. Returns an EmbeddingRelease to create."""
    for policy in drift_policies(context.snapshot):
        request = policy.status.request
        if request is None or not request.may_be_done or made_for(context, request.id) is not None:
            continue
        if not is_asked_for(policy, request) or not_yet(context, request) is not None:
            continue
        if request.do is Deed.ROLLBACK:
            _go_back(context, policy)
            return None
        return _new_release(context, policy, request)
    return None


def is_asked_for(policy: DriftPolicy, request: Request) -> bool:
    """Whether the spec still holds the action."""
    return request.when in policy.spec.triggers_of(request.do)


def _go_back(context: ReconcileContext, policy: DriftPolicy) -> None:
    kept = context.retained[0]
    return_to(context, kept)
    message = f"drift of DriftPolicy {policy.name}: {short_name(kept.name)} takes over again"
    context.event(Reason.ROLLED_BACK, message, warning=True)


def _new_release(context: ReconcileContext, policy: DriftPolicy, request: Request) -> Object | None:
    stable, desired = context.stable, context.desired
    if stable is None or not isinstance(desired, Desired):
        return None
    trains = request.do is Deed.RETRAIN
    origin = DriftOrigin(
        policy=policy.name,
        request=request.id,
        approved_by=request.approved_by,
        known_data=known_data(context, stable) if trains else None,
    )
    source = None if trains else stable
    return make_release(context, desired, cause=Cause.DRIFT, source=source, drift=origin)
