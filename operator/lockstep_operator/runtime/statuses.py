"""Writes of a status: the patch that replaces it, and the line that tells of a transition."""

from __future__ import annotations

import logging

from lockstep_operator.api.kinds import EMBEDDING_RELEASE, ResourceKind
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.plan import StatusWrite
from lockstep_operator.runtime import metrics
from lockstep_operator.runtime.logging import facts_of
from lockstep_operator.runtime.queue import Key

logger = logging.getLogger(__name__)


def patch_of(kind: ResourceKind, live: Object, status: Object) -> list[Object]:
    """A JSON patch of the whole status, under the condition that the object is the one we know.

    Of the ways to write a status only this one (and PUT, which fights every edit of the spec)
    drops each stale field, whoever wrote it: a merge patch keeps what it does not name, and
    server-side apply keeps what another manager wrote. A release's status is the only record, so
    it is also guarded by resourceVersion: a former leader's late write cannot take it back.
    """
    metadata = live["metadata"]
    guard = "resourceVersion" if kind is EMBEDDING_RELEASE else "uid"
    return [
        {"op": "test", "path": f"/metadata/{guard}", "value": metadata[guard]},
        {"op": "add", "path": "/status", "value": status},
    ]


def tell_transition(kind: ResourceKind, key: Key, write: StatusWrite, before: Object) -> None:
    """Logs and counts a change of the stage or the phase against the status `before`."""
    field_name = "stage" if kind is EMBEDDING_RELEASE else "phase"
    old, new = before.get(field_name), write.status.get(field_name)
    facts = facts_of(kind.kind, f"{key.namespace}/{write.of.name}")
    if old == new or new is None:
        logger.debug("status written", extra=facts)
        return
    if kind is EMBEDDING_RELEASE:
        metrics.STAGE_TRANSITIONS.labels(stage=new).inc()
    transition = {field_name: new, f"{field_name}_before": old, "says": write.status.get("message")}
    logger.info(f"{field_name} {old or 'none'} -> {new}", extra=facts | transition)
