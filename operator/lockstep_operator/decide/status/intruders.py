"""What stands beside the model and is not its own: told with every summary, and never Ready."""

from __future__ import annotations

import dataclasses

from lockstep_core.protocol import labels
from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot.snapshot import Snapshot
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.traffic import entry
from lockstep_operator.decide.traffic.stray_pods import stray_pods
from lockstep_operator.decide.vocabulary.hints import delete_release, own_again
from lockstep_operator.decide.vocabulary.reasons import Reason


def with_intruders(context: ReconcileContext, summary: Summary) -> Summary:
    """Adds the records that are not owned. Stray pods are part of what serves already."""
    records = [_sentence(context, raw) for raw in context.snapshot.unowned_records]
    message = " ".join([summary.message, *records])
    if summary.ready and (records or stray_pods(context)):
        reason = Reason.RELEASE_NOT_OWNED if records else Reason.STRAY_PODS
        return dataclasses.replace(
            summary, phase=Phase.DEGRADED, reason=reason, message=message, ready=False
        )
    return dataclasses.replace(summary, message=message)


def staying_sentence(snapshot: Snapshot) -> str | None:
    """What the deletion of the model leaves behind, and the commands that remove it."""
    names = [str(raw["metadata"]["name"]) for raw in snapshot.unowned_records]
    if not names:
        return None
    commands = "; ".join(delete_release(snapshot.model, name) for name in names)
    stays = f"It does not own {', '.join(names)}, and what they run stays"
    return f"{stays}; delete it: {commands}; nothing else does."


def _sentence(context: ReconcileContext, raw: Object) -> str:
    model, name = context.model, str(raw["metadata"]["name"])
    owners = raw["metadata"].get("ownerReferences") or []
    others = ", ".join(f"{owner.get('kind')} {owner.get('name')}" for owner in owners)
    lost = f"is owned by {others}, not by this model" if others else "has lost its ownerReference"
    selected = entry.live_selector(context).get(labels.RELEASE) == name
    answers = ", answers users" if selected else ""
    return (
        f"EmbeddingRelease {name} {lost}: it is not used{answers} and would outlive"
        f" the model. Take it back: {own_again(model, name)}; or delete it with its pods:"
        f" {delete_release(model, name)}; until then it stays as it is."
    )
