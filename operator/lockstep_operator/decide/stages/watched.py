"""A release that was just promoted is judged on all requests: what is known of it so far."""

from __future__ import annotations

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.traffic_records import Watch
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.vocabulary.reasons import Outcome
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name


def first_watch(context: ReconcileContext, release: Release) -> Watch | None:
    """The watch that begins with a promotion.

    None for the first release, which nothing can take the place of, and for one that had served
    before, unless it was replaced while it was still judged.
    """
    stable, watch = context.stable, release.status.watch
    is_new = release.status.promoted_at is None or (watch is not None and watch.verdict is None)
    if context.model.spec.rollout.after_promotion is None or stable is None or not is_new:
        return None
    return Watch(started_at=context.now, replaced=stable.name)


def has_failed(release: Release) -> bool:
    """Whether its gates after the promotion failed, and no person let it pass them."""
    watch = release.status.watch
    return watch is not None and watch.has_failed


def is_turned_down(release: Release) -> bool:
    """Whether it failed before it served, or after: then it was rolled back for it."""
    rolled_back = release.status.outcome == Outcome.ROLLED_BACK
    return release.status.stage is Stage.FAILED or (rolled_back and has_failed(release))


def after_promotion(release: Release) -> str:
    """The verdict of its gates after its promotion, where they did not pass."""
    short, watch = short_name(release.name), release.status.watch
    if watch is None or watch.told is None:
        return ""
    if has_failed(release):
        return f"{short} failed after its promotion: {watch.told}."
    undecided = watch.verdict == Verdict.INCONCLUSIVE
    return f"Its gates after the promotion do not decide: {watch.told}." if undecided else ""


def way_back(context: ReconcileContext, release: Release) -> Release | None:
    """The kept release that takes over from one that failed: ready, and not failed itself.

    It is tried once. A way back that led nowhere, or that a person ended, is not tried again.
    """
    watch, kept = release.status.watch, next(iter(context.retained), None)
    if not has_failed(release) or watch is None or watch.returned_at is not None:
        return None
    if kept is None or has_failed(kept) or not health_of(context, kept).ready:
        return None
    return kept
