"""What a release should run, its health, and the one place that plans what differs from it."""

from __future__ import annotations

from collections.abc import Iterator

from lockstep_core.protocol import labels
from lockstep_operator import manifests
from lockstep_operator.api import kinds
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import BEING_MADE, PodTrouble, ReleaseHealth
from lockstep_operator.decide.context.plan import reference
from lockstep_operator.decide.context.waits import REMNANT_SECONDS
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.traffic.scaling import live_replicas
from lockstep_operator.decide.vocabulary.compare import difference, was_applied
from lockstep_operator.decide.workloads.capacity import encoder_replicas, scaling_bounds
from lockstep_operator.decide.workloads.unready import unready
from lockstep_operator.manifests.metadata import Component, entry_label

AUTOSCALER = kinds.AUTOSCALER.kind
# Without one of these a release cannot answer; without any other child it answers as before.
ANSWERING = frozenset({kinds.DEPLOYMENT.kind, kinds.SERVICE.kind})


def health_of(context: ReconcileContext, release: Release) -> ReleaseHealth:
    """The health of a release by the records as this pass has left them. It plans nothing.

    Answered from memory until a record changes: how many pods a release should have follows from
    the stages and steps of all of them.
    """
    known = context.healths.get(release.name)
    if known is None:
        known = context.healths[release.name] = ReleaseHealth()
        for manifest in _desired_children(context, release):
            _look(context, release, manifest, known)
    return known


def plan_children(context: ReconcileContext) -> None:
    """Plans what is missing or different, once, by the final records of the pass."""
    for release in _that_run_pods(context):
        health = health_of(context, release)
        context.apply.extend(health.to_apply)
        context.conflicts.extend(health.conflicts)
        if health.awaits_removal:
            context.wake_in(REMNANT_SECONDS)
        if context.model.spec.serving.autoscaling is None:
            _delete(context, context.snapshot.children(AUTOSCALER, release.uid))
        _delete(context, _no_longer_built(context, release))
    candidate = context.candidate
    if candidate is not None:
        _plan_rendezvous(context, candidate)


def _that_run_pods(context: ReconcileContext) -> list[Release]:
    """What is on its way first, then what serves, then what is kept."""
    candidate, stable = context.candidate, context.stable
    first = [release for release in (candidate, stable) if release is not None]
    return [
        release
        for release in (*first, *context.retained)
        if facts_of(release.status.stage).runs_pods and release.name not in context.not_begun
    ]


def _plan_rendezvous(context: ReconcileContext, candidate: Release) -> None:
    """The Service by which the pods of one training meet, as long as it trains."""
    name, policy = manifests.rendezvous_name(candidate.name), context.model.spec.training
    live = context.snapshot.child("Service", name, candidate.uid)
    trains = candidate.status.stage is Stage.TRAINING and candidate.status.training is None
    if not trains and live is not None:
        _delete(context, [live])
    elif trains and live is None and policy is not None and policy.distributed.pods > 1:
        context.apply.append(manifests.rendezvous_service(candidate))


def _delete(context: ReconcileContext, children: list[Object]) -> None:
    context.delete.extend(
        reference(child) for child in children if "deletionTimestamp" not in child["metadata"]
    )


def _no_longer_built(context: ReconcileContext, release: Release) -> list[Object]:
    """Children of kinds with a builder that it makes no more."""
    built = manifests.built_children(context.model, release) if kinds.BUILT else ()
    names = {(child["kind"], child["metadata"]["name"]) for child in built}
    return [
        child
        for kind in kinds.BUILT
        for child in context.snapshot.children(kind.kind, release.uid)
        if (kind.kind, child["metadata"]["name"]) not in names
    ]


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
    beside = _beside(context, release)
    yield manifests.encoder_deployment(
        context.model,
        release,
        replicas=replicas,
        beside=beside,
        follows_index=_follows_index(context, release, beside),
        pull_secrets=secrets,
    )
    if bounds is not None and scaling is not None:
        yield manifests.encoder_autoscaler(scaling, release, bounds)
    yield from manifests.built_children(context.model, release)


def _beside(context: ReconcileContext, release: Release) -> str | None:
    """The release whose entry point the pods may share.

    A release that was replaced by the one whose candidate it had been must not, once there is
    another candidate: the joint selector of both would select it as a third. Until then its pods
    are left alone: without its entry label a kept release would start them anew just when they
    should be ready for the way forward.
    """
    stable, beside, candidate = context.stable, release.status.canary_of, context.candidate
    kept = release.status.stage is Stage.RETAINED
    if beside is None or not kept or stable is None or beside != stable.name:
        return beside
    if candidate is not None and candidate.status.canary_of == beside:
        return None
    live = context.snapshot.child("Deployment", manifests.encoder_name(release.name), release.uid)
    template = ((live or {}).get("spec") or {}).get("template") or {}
    entry_labels = (template.get("metadata") or {}).get("labels") or {}
    return beside if live is None or entry_label(beside) in entry_labels else None


def _follows_index(context: ReconcileContext, release: Release, beside: str | None) -> bool:
    """Pods that an operator of before made without it stay as they are: an upgrade moves none."""
    live = context.snapshot.child("Deployment", manifests.encoder_name(release.name), release.uid)
    if live is None or beside is None or manifests.follows_index(live):
        return True
    return entry_label(beside) not in live["spec"]["template"]["metadata"].get("labels", {})


def _look(
    context: ReconcileContext, release: Release, manifest: Object, health: ReleaseHealth
) -> None:
    """Adds what was observed of one child to the health of its release."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    live = context.snapshot.child(kind, name, release.uid)
    remnant = context.snapshot.remnant(kind, name, release.uid)
    if remnant is not None:
        health.serving = health.serving and kind not in ANSWERING
        health.add_missing(remnant)
        health.awaits_removal = True
        return
    conflict = context.snapshot.conflict(kind, name, release.uid)
    if conflict is not None:
        health.conflicts.append(conflict)
    elif live is None:
        health.to_apply.append(manifest)
    elif live is not manifest and difference(manifest, live) is not None:
        health.to_apply.append(manifest)
        # A field that others keep rewriting is asked for again, and holds no release up.
        if not was_applied(manifest, live):
            health.rolling = True
            health.add_missing(f"{kind} {name} is being changed")
    refusal = context.snapshot.refusal(kind, name)
    if refusal is not None and conflict is None:
        health.add_missing(f"{kind} {name} was refused by the API server: {refusal.message}")
    if live is None or "deletionTimestamp" in live["metadata"]:
        health.serving = health.serving and kind not in ANSWERING
        if refusal is None:
            health.add_missing(f"{kind} {name}{_absence(release, live)}")
    elif kind == "Deployment":
        selector = manifest["spec"]["selector"]["matchLabels"]
        pods = context.snapshot.serving_pods(release.name)
        own = [p for p in pods if selector.items() <= (p["metadata"].get("labels") or {}).items()]
        troubles = unready(own, context.snapshot.observed.events)
        _count(health, manifest, live, _wanted(context, release, manifest, live), troubles)


def _absence(release: Release, live: Object | None) -> str:
    if live is not None:
        return " is being deleted, and is made again then"
    if release.status.promoted_at is not None:
        return " was gone and is made again"
    return BEING_MADE


def _wanted(context: ReconcileContext, release: Release, manifest: Object, live: Object) -> int:
    """Pods that a workload should have; an autoscaler writes that into the live object."""
    replicas = int(manifest["spec"].get("replicas", live["spec"].get("replicas", 1)))
    if "replicas" in manifest["spec"] or release.status.promoted_at is not None:
        return replicas
    bounds = scaling_bounds(context, release)
    # Before its first switch it waits for the size that it needs, not for what is there so far.
    return replicas if bounds is None else max(replicas, bounds.low)


def _count(
    health: ReleaseHealth, manifest: Object, live: Object, wanted: int, troubles: list[PodTrouble]
) -> None:
    """Counts the pods of one workload by its own status; `troubles` are those not ready."""
    kind, status = manifest["kind"], live.get("status") or {}
    ready = int(status.get("readyReplicas") or 0)
    updated = int(status.get("updatedReplicas") or 0)
    if manifest["spec"].get("minReadySeconds"):
        ready = min(ready, int(status.get("availableReplicas") or 0))
    seen = int(status.get("observedGeneration") or 0)
    stale = seen < int(live["metadata"].get("generation") or 0)
    if manifest["metadata"]["labels"][labels.COMPONENT] == Component.ENCODER:
        health.ready_pods, health.wanted_pods = ready, wanted
    health.serving = health.serving and ready > 0
    # Pods of the template before go when those of the new one are ready.
    old = max(0, int(status.get("replicas") or 0) - updated)
    health.rolling = health.rolling or stale or updated < wanted or old > 0
    name = manifest["metadata"]["name"]
    if stale or min(ready, updated) < wanted:
        counted = min(ready, updated, wanted)
        health.add_unready(f"{kind} {name} has {counted} of {wanted} pods ready", troubles)
    elif old:
        health.add_missing(f"{kind} {name} keeps {old} of the pods of before its last change")
