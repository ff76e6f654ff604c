"""The entry point: the one Service whose selector ever changes, and whom it selects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep_core.protocol import labels
from lockstep_operator import manifests
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.vocabulary.compare import difference
from lockstep_operator.manifests.metadata import (
    Component,
    entry_label,
    joint_selector,
    selector_labels,
)


@dataclass(frozen=True)
class Selected:
    """Whom the entry point selects: `holder` alone, or the pods of both."""

    holder: str
    beside: str | None = None


def selected(context: ReconcileContext) -> Selected | None:
    """What the entry point selects, as read back; None when it selects no release."""
    if _live(context) is None:
        return None
    selector, model = live_selector(context), context.model.name
    name = str(selector.get(labels.RELEASE, ""))
    if name and selector == selector_labels(model, name, Component.ENCODER):
        return Selected(name)
    for release in context.releases:
        if selector == joint_selector(model, release.name):
            others = (r for r in context.releases if r.status.canary_of == release.name)
            beside = next(
                (r.name for r in others if is_labelled(context, r.name, release.name)), None
            )
            return Selected(release.name, beside)
    return _left_alone(context, selector)


def live_selector(context: ReconcileContext) -> Mapping[str, str]:
    """The labels by which the entry point selects pods, as read back; empty while it is not there.

    A Service without a selector selects no pods.
    """
    return ((_live(context) or {}).get("spec") or {}).get("selector") or {}


def _left_alone(context: ReconcileContext, selector: Mapping[str, str]) -> Selected | None:
    """The candidate behind a joint selector whose holder's record is gone: it answers alone."""
    for release in context.releases:
        beside = release.status.canary_of
        if beside and selector == joint_selector(context.model.name, beside):
            return Selected(release.name) if is_labelled(context, release.name, beside) else None
    return None


def point_at(context: ReconcileContext, holder: str, *, beside: str | None = None) -> None:
    """Plans the selector, if it differs. Joint only when it would select no third release."""
    if beside is not None and strangers(context, holder, beside):
        beside = None
    manifest = manifests.entry_service(
        context.model, context.release(holder), joint=beside is not None
    )
    entry = _live(context)
    if entry is None or difference(manifest, entry) is not None:
        context.apply.append(manifest)


def strangers(context: ReconcileContext, holder: str, beside: str) -> list[str]:
    """Pods of other releases that the joint selector of both would select."""
    key = entry_label(holder)
    return [
        pod["metadata"]["name"]
        for pod in context.snapshot.observed.pods
        if key in (pod["metadata"].get("labels") or {})
        and pod["metadata"]["labels"].get(labels.RELEASE) not in (holder, beside)
        and "deletionTimestamp" not in pod["metadata"]
    ]


def conflict(context: ReconcileContext) -> str | None:
    """The sentence about a Service of the model's name that belongs to someone else."""
    return context.snapshot.conflict("Service", context.model.name, context.model.uid)


def remnant(context: ReconcileContext) -> str | None:
    """The sentence about the entry point of a deleted model of the same name."""
    return context.snapshot.remnant("Service", context.model.name, context.model.uid)


def is_labelled(context: ReconcileContext, name: str, holder: str) -> bool:
    """Whether the encoder pods of a release are made with the entry label of `holder`."""
    release = context.release(name)
    deployment = context.snapshot.child("Deployment", manifests.encoder_name(name), release.uid)
    pods = ((deployment or {}).get("spec") or {}).get("template") or {}
    return entry_label(holder) in ((pods.get("metadata") or {}).get("labels") or {})


def _live(context: ReconcileContext) -> Object | None:
    return context.snapshot.child("Service", context.model.name, context.model.uid)
