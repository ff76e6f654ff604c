"""Pods that no release of the model runs, and that its Services select all the same.

A Service selects by labels alone. A pod whose labels were edited leaves its ReplicaSet, outlives
its release and goes on answering, perhaps without its index; so does a copy of a pod or of a
Deployment that kept our labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep_core.protocol import labels
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import LINES_SHOWN
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.traffic import entry
from lockstep_operator.manifests import encoder_name, index_name
from lockstep_operator.manifests.metadata import Component, entry_label

_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class StrayPod:
    """`maker` is the controller that would make it again (`ReplicaSet copy-7f`), None: nobody."""

    name: str
    maker: str | None = None


@dataclass(frozen=True)
class _Services:
    """What the model's Services select: the entry point's, those of encoders and of indexes."""

    entry: Mapping[str, str]
    # The indexes of each release that runs pods.
    running: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, context: ReconcileContext) -> _Services:
        running = {
            release.name: frozenset(frozen.name for frozen in release.spec.indexes)
            for release in context.releases
            if facts_of(release.status.stage).runs_pods
        }
        return cls(entry.live_selector(context), running)

    def select(self, own: Mapping[str, str]) -> bool:
        """Whether one of them selects a pod with these labels."""
        if self.entry and self.entry.items() <= own.items():
            return True
        indexes = self.running.get(own.get(labels.RELEASE, ""))
        component = own.get(labels.COMPONENT)
        if indexes is None:
            return False
        is_server = component == Component.INDEX and own.get(labels.INDEX) in indexes
        return component == Component.ENCODER or is_server


def stray_pods(context: ReconcileContext) -> list[StrayPod]:
    """By name."""
    services = _Services.of(context)
    selected = (
        pod
        for pod in context.snapshot.observed.pods
        if services.select(pod["metadata"].get("labels") or {}) and _is_alive(pod)
    )
    strays = (_stray(context, pod) for pod in selected)
    return sorted((s for s in strays if s is not None), key=lambda stray: stray.name)


def stray_sentence(context: ReconcileContext) -> str | None:
    """Which pods answer that should not, and the command that removes them."""
    strays = stray_pods(context)
    if not strays:
        return None
    more = len(strays) - LINES_SHOWN
    shown = strays[:LINES_SHOWN]
    names = ", ".join(s.name if s.maker is None else f"{s.name} ({s.maker})" for s in shown)
    names += f" and {more} more" if more > 0 else ""
    advice = []
    alone = [stray.name for stray in shown if stray.maker is None]
    if alone:
        namespace = context.model.namespace
        command = f"kubectl delete pod -n {namespace} {' '.join(alone)}"
        advice.append(f"remove them: {command}; nothing else ends them")
    if len(alone) < len(shown):
        advice.append("delete what made those that name it, or change its labels")
    return f"Pods that no release runs may answer too: {names}; {'; '.join(advice)}."


def _stray(context: ReconcileContext, pod: Object) -> StrayPod | None:
    """What a pod that is selected is, if it is no release's."""
    own = pod["metadata"].get("labels") or {}
    name = str(pod["metadata"]["name"])
    maker = _maker(pod)
    if maker is None:
        return StrayPod(name)
    kind, made_by = maker
    if kind == "ReplicaSet" and made_by.rpartition("-")[0] == _workload(own):
        # A release's own, or of a release that ended: garbage collection removes it.
        return StrayPod(name) if _holds_up_a_candidate(context, own) else None
    return StrayPod(name, f"{kind} {made_by}")


def _is_alive(pod: Object) -> bool:
    ended = (pod.get("status") or {}).get("phase") in _ENDED
    return not ended and "deletionTimestamp" not in pod["metadata"]


def _maker(pod: Object) -> tuple[str, str] | None:
    """Kind and name of the pod's controller."""
    owners = pod["metadata"].get("ownerReferences") or []
    maker = next((owner for owner in owners if owner.get("controller")), None)
    return None if maker is None else (str(maker.get("kind")), str(maker.get("name")))


def _workload(own: Mapping[str, str]) -> str:
    """The Deployment whose pods have these labels."""
    release = own.get(labels.RELEASE, "")
    if own.get(labels.COMPONENT) == Component.INDEX:
        return index_name(release, own.get(labels.INDEX, ""))
    return encoder_name(release)


def _holds_up_a_candidate(context: ReconcileContext, own: Mapping[str, str]) -> bool:
    """Whether a label that was added by hand makes it a third behind the entry point.

    While there is one, no candidate is let in beside stable (`entry.point_at`). Its ReplicaSet
    makes another one without the label.
    """
    selected = entry.selected(context)
    release, component = own.get(labels.RELEASE, ""), own.get(labels.COMPONENT)
    known = any(known.name == release for known in context.releases)
    if selected is None or not known or component != Component.ENCODER:
        return False
    holder = selected.holder
    return entry_label(holder) in own and not entry.is_labelled(context, release, holder)
