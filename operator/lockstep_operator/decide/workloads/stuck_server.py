"""Why servers of a release do not start, and the field that mends it."""

from __future__ import annotations

from lockstep_core.protocol import labels
from lockstep_operator.api.kinds import DEPLOYMENT
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.jobs.pod_status import name_of
from lockstep_operator.decide.jobs.stuck import (
    Stuck,
    find_stuck,
    look_again_in,
    unfilled,
    waits_on_node,
)

ENCODER_TEMPLATE = "`spec.serving.template`"


def stuck_server(context: ReconcileContext, release: Release) -> tuple[Stuck, str] | None:
    """The first server that does not start, pods before Deployments, and what mends it.

    Asks for another look where only Events will tell more.
    """
    snapshot = context.snapshot
    pods = sorted(snapshot.serving_pods(release.name), key=name_of)
    for pod in pods:
        stuck = find_stuck([pod], snapshot.observed.events)
        if waits_on_node(pod) or (stuck is not None and stuck.by_event):
            since = pod["metadata"].get("creationTimestamp", "")
            context.wake_in(look_again_in(since, snapshot.now))
        if stuck is not None:
            return stuck, stuck.advice(_template(pod))
    for deployment in snapshot.children(DEPLOYMENT.kind, release.uid):
        stuck = unfilled(deployment)
        if stuck is not None:
            return stuck, stuck.advice(_template(deployment))
    return None


def _template(server: Object) -> str:
    """The field that shapes a server, by the labels of its pod or of its Deployment."""
    index = (server["metadata"].get("labels") or {}).get(labels.INDEX)
    return f"VectorIndex {index} `spec.template`" if index else ENCODER_TEMPLATE
