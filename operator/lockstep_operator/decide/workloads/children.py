"""The encoder, the index servers and their Services: planned where missing, read where there."""

from __future__ import annotations

from collections.abc import Iterator

from lockstep_core.protocol import labels
from lockstep_operator import manifests
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import BEING_MADE, ReleaseHealth
from lockstep_operator.decide.context.plan import reference
from lockstep_operator.decide.context.waits import REMNANT_SECONDS
from lockstep_operator.decide.traffic.scaling import live_replicas
from lockstep_operator.decide.vocabulary.compare import difference, was_applied
from lockstep_operator.decide.workloads.capacity import encoder_replicas, scaling_bounds
from lockstep_operator.manifests.metadata import Component, entry_label

AUTOSCALER = "HorizontalPodAutoscaler"


def upkeep(context: ReconcileContext, release: Release) -> ReleaseHealth:
    """Plans what is missing or different of a release's children; tells how whole they are.

    A pass plans the children of a release once, and answers from memory after that.
    """
    known = context.pairs.get(release.name)
    if known is not None:
        return known
    pair = ReleaseHealth()
    for manifest in _desired_children(context, release):
        _keep(context, release, manifest, pair)
    if context.model.spec.serving.autoscaling is None:
        found = context.snapshot.children(AUTOSCALER, release.uid)
        context.delete.extend(
            reference(child) for child in found if "deletionTimestamp" not in child["metadata"]
        )
    context.pairs[release.name] = pair
    return pair


def _desired_children(context: ReconcileContext, release: Release) -> Iterator[Object]:
    """What a release runs. Raises ValueError while it lacks its model or one of its builds."""
    secrets = context.snapshot.settings.image_pull_secrets
    for frozen in release.spec.indexes:
        recipe = context.snapshot.index(frozen.name)
        yield manifests.index_service(release, frozen)
        name = manifests.index_name(release.name, frozen.name)
        live = context.snapshot.child("Deployment", name, release.uid)
        if recipe is None and live is not None:
            # The VectorIndex was deleted, and its replicas with it: what serves stays as it is.
            yield live
        else:
            yield manifests.index_deployment(
                context.model, release, frozen, recipe, pull_secrets=secrets
            )
    yield manifests.encoder_service(release)
    bounds, scaling = scaling_bounds(context, release), context.model.spec.serving.autoscaling
    replicas: int | None = encoder_replicas(context, release)
    if bounds is not None:
        # It starts with as many as it needs; from then on the autoscaler counts.
        replicas = bounds.low if live_replicas(context, release) is None else None
    yield manifests.encoder_deployment(
        context.model,
        release,
        replicas=replicas,
        beside=_beside(context, release),
        pull_secrets=secrets,
    )
    if bounds is not None and scaling is not None:
        yield manifests.encoder_autoscaler(scaling, release, bounds)


def _beside(context: ReconcileContext, release: Release) -> str | None:
    """The release whose entry point the pods may share.

    A release that was replaced by the one whose candidate it had been must not, once there is
    another candidate: the joint selector of both would select it as a third. Until then its pods
    are left alone: without its door a kept release would start them anew just when it should be
    warm for the way forward.
    """
    stable, beside, candidate = context.stable, release.status.canary_of, context.candidate
    kept = release.status.stage is Stage.RETAINED
    if beside is None or not kept or stable is None or beside != stable.name:
        return beside
    if candidate is not None and candidate.status.canary_of == beside:
        return None
    live = context.snapshot.child("Deployment", manifests.encoder_name(release.name), release.uid)
    template = ((live or {}).get("spec") or {}).get("template") or {}
    doors = (template.get("metadata") or {}).get("labels") or {}
    return beside if live is None or entry_label(beside) in doors else None


def _keep(
    context: ReconcileContext, release: Release, manifest: Object, pair: ReleaseHealth
) -> None:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    live = context.snapshot.child(kind, name, release.uid)
    remnant = context.snapshot.remnant(kind, name, release.uid)
    if remnant is not None:
        pair.serving = pair.serving and kind == AUTOSCALER
        pair.lacks(remnant)
        context.wake_in(REMNANT_SECONDS)
        return
    conflict = context.snapshot.conflict(kind, name, release.uid)
    if conflict is not None:
        pair.conflict = pair.conflict or conflict
        context.conflicts.append(conflict)
    elif live is None:
        context.apply.append(manifest)
    elif live is not manifest and difference(manifest, live) is not None:
        context.apply.append(manifest)
        # A field that others keep rewriting is asked for again, and holds no release up.
        if not was_applied(manifest, live):
            pair.rolling = True
            pair.lacks(f"{kind} {name} is being changed")
    refusal = context.snapshot.refusal(kind, name)
    if refusal is not None and conflict is None:
        pair.lacks(f"{kind} {name} was refused by the API server: {refusal.message}")
    if live is None or "deletionTimestamp" in live["metadata"]:
        pair.serving = pair.serving and kind == AUTOSCALER
        if refusal is None:
            pair.lacks(f"{kind} {name}{_absence(release, live)}")
    elif kind == "Deployment":
        _count(pair, manifest, live, _wanted(context, release, manifest, live))


def _absence(release: Release, live: Object | None) -> str:
    if live is not None:
        return " is being deleted, and is made again then"
    if release.status.promoted_at is not None:
        return " was gone and is made again"
    return BEING_MADE


def _wanted(context: ReconcileContext, release: Release, manifest: Object, live: Object) -> int:
    """Pods that a workload should have; an autoscaler writes that into the live object."""
    found = int(manifest["spec"].get("replicas", live["spec"].get("replicas", 1)))
    if "replicas" in manifest["spec"] or release.status.promoted_at is not None:
        return found
    bounds = scaling_bounds(context, release)
    # Before its first switch it waits for the size that it needs, not for what is there so far.
    return found if bounds is None else max(found, bounds.low)


def _count(pair: ReleaseHealth, manifest: Object, live: Object, wanted: int) -> None:
    """Counts the pods of one workload by its own status."""
    kind, status = manifest["kind"], live.get("status") or {}
    ready = int(status.get("readyReplicas") or 0)
    updated = int(status.get("updatedReplicas") or 0)
    if manifest["spec"].get("minReadySeconds"):
        ready = min(ready, int(status.get("availableReplicas") or 0))
    seen = int(status.get("observedGeneration") or 0)
    stale = seen < int(live["metadata"].get("generation") or 0)
    if manifest["metadata"]["labels"][labels.COMPONENT] == Component.ENCODER:
        pair.ready, pair.wanted = ready, wanted
    pair.serving = pair.serving and ready > 0
    # Pods of the template before go when those of the new one are ready.
    old = max(0, int(status.get("replicas") or 0) - updated)
    pair.rolling = pair.rolling or stale or updated < wanted or old > 0
    name = manifest["metadata"]["name"]
    if stale or min(ready, updated) < wanted:
        pair.lacks(f"{kind} {name} has {min(ready, updated, wanted)} of {wanted} pods ready")
    elif old:
        pair.lacks(f"{kind} {name} keeps {old} of the pods of before its last change")
