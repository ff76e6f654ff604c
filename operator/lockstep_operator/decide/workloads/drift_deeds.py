"""Whether what a drift policy asks for can be done at all, and whether it can be done now.

Rollback helps only where the release is what changed. The kept release sees no traffic, so nothing
measures whether it would drift on the same requests. Beside a baseline of its own traffic the
encoder is the same function before and after: what changed is the traffic, and the release before
would meet it too. So a rollback needs vectors that are invalid, which no traffic excuses, or drift
from the held-out baseline that was there from the first windows after the promotion on.
"""

from __future__ import annotations

from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.drift import DriftReport, RoleReport, Seen
from lockstep_operator.api.drift_actions import Deed, Request
from lockstep_operator.api.model import Indexing
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name

ONSET_WINDOWS = 12
"""Drift that began within so many windows after a promotion began with it: bets are placed from the
second window on, and the first of them are small."""


def made_for(context: ReconcileContext, request: str) -> Release | None:
    """The release that was made for a request."""
    releases = (r for r in context.releases if r.spec.drift is not None)
    return next((r for r in releases if r.spec.drift and r.spec.drift.request == request), None)


def impossible(
    context: ReconcileContext, deed: Deed, report: DriftReport, roles: list[RoleReport]
) -> str | None:
    """Why a deed would be no answer to what is seen of these roles, however long one waits."""
    spec = context.model.spec
    if deed is Deed.RETRAIN and spec.training is None:
        return "the model is imported (`spec.artifact`), so there is nothing to train"
    if deed is Deed.REBUILD and spec.indexing is Indexing.NONE:
        return "`spec.indexing` is None, so there is no index to rebuild"
    if deed is not Deed.ROLLBACK:
        return None
    if not context.retained:
        return "no earlier release is kept to go back to"
    if any(Seen.INVALID in role.seen or _began_with(context, report, role) for role in roles):
        return None
    return (
        "the drift did not begin with the promotion of the release that serves, so its cause is the"
        " traffic, which the release before would meet too"
    )


def not_yet(context: ReconcileContext, request: Request) -> str | None:
    """What a request that may be done still waits for."""
    stable, candidate, desired = context.stable, context.candidate, context.desired
    if stable is None or stable.name != request.release:
        return f"{short_name(request.release)} does not serve"
    if candidate is not None:
        return f"{short_name(candidate.name)} is on its way and ends first"
    if stable.status.stage is not Stage.SERVING:
        return f"{short_name(stable.name)} is {stable.status.stage}"
    if request.do is Deed.ROLLBACK:
        return _no_way_back(context)
    if context.model.spec.rollout.paused:
        return "`spec.rollout.paused` is true"
    if not isinstance(desired, Desired):
        return desired.message
    if not (desired.is_release(stable) or desired.is_within(stable)):
        return "the spec asks for another release than the one that serves"
    limit = context.snapshot.settings.drift_releases_per_hour
    if context.snapshot.observed.drift_releases >= limit:
        return (
            f"{limit} releases were made for drift within the last hour, which is the limit of the"
            " operator (`--drift-releases-per-hour`)"
        )
    return None


def known_data(context: ReconcileContext, stable: Release) -> Sha256 | None:
    """The digest of the data set that the serving model was measured on, which is the one that it
    was trained on; None where no record holds it."""
    trained = stable.status.training
    for release in context.releases:
        facts, own = release.status.evaluation, release.status.training
        if facts is None or own is None or trained is None:
            continue
        if own.artifact_digest == trained.artifact_digest:
            return facts.dataset_digest
    return None


def _no_way_back(context: ReconcileContext) -> str | None:
    if not context.retained:
        return "no earlier release is kept to go back to"
    kept = context.retained[0]
    health = health_of(context, kept)
    return None if health.ready else f"{short_name(kept.name)} is not whole: {health.sentence()}"


def _began_with(context: ReconcileContext, report: DriftReport, role: RoleReport) -> bool:
    """Whether the evidence grows since the first windows after the promotion."""
    stable = context.stable
    promoted = stable.status.promoted_at if stable is not None else None
    if promoted is None or role.began is None:
        return False
    seconds = report.window_seconds
    onset = role.began * seconds - clock.parse(promoted).timestamp()
    return onset <= ONSET_WINDOWS * seconds
