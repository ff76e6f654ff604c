"""Encoder pods while an autoscaler counts them: what a release of full size is, for the others."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.manifests import encoder_name


def encoder_total(context: ReconcileContext) -> int:
    """Encoder pods of a release that answers all requests.

    `spec.serving.replicas`; with an autoscaler as many as stable has now, so that whoever takes its
    requests over is not smaller.
    """
    serving = context.model.spec.serving
    scaling = serving.autoscaling
    if scaling is None:
        return serving.replicas
    stable = context.stable
    live = live_replicas(context, stable) if stable is not None else None
    replicas = scaling.min_replicas if live is None else live
    return max(scaling.min_replicas, min(replicas, scaling.max_replicas))


def live_replicas(context: ReconcileContext, release: Release) -> int | None:
    """What the encoder's Deployment asks for now, whoever wrote it; None where there is none."""
    deployment = context.snapshot.child("Deployment", encoder_name(release.name), release.uid)
    return None if deployment is None else int(deployment["spec"].get("replicas", 1))
