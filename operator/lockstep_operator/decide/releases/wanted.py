"""What the spec asks against the releases that there are. Nothing here changes a record."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.stored import lost_models
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.snapshot.snapshot import Problem
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.vocabulary.reasons import Outcome
from lockstep_operator.manifests.facts import is_same_store


def is_asked(context: ReconcileContext, stable: Release) -> bool:
    """Whether what the spec asks for is what serves."""
    desired = context.desired
    if isinstance(desired, Problem):
        return True
    return desired.is_release(stable) or desired.is_within(stable)


def is_settled(context: ReconcileContext, desired: Desired) -> bool:
    """Whether the newest release is what is asked and is on its way, or ended for good."""
    newest = context.newest
    if newest is None:
        return False
    if rolled_back(context, desired) is not None:
        return True
    on_its_way = facts_of(newest.status.stage).on_its_way
    if desired.is_release(newest):
        # A release that was superseded, not aborted, was given up for another spec: when the spec
        # comes back to it, it is a new request. So is one that the spec's way back replaced.
        stage, outcome = newest.status.stage, newest.status.outcome
        given_up = stage is Stage.SUPERSEDED and outcome != Outcome.ABORTED
        replaced = stage is Stage.RETAINED and outcome == Outcome.REVERTED
        retired = stage is Stage.RETIRED and outcome == Outcome.REVERTED
        return not (given_up or replaced or retired)
    stable = context.stable
    if stable is not None and desired.is_release(stable):
        return False
    return on_its_way and desired.is_within(newest)


def rolled_back(context: ReconcileContext, desired: Desired) -> Release | None:
    """The release that the spec asks for, where a person went back from it to what serves now."""
    return next((r for r in _left_since(context, "") if desired.is_release(r)), None)


def was_left_since(context: ReconcileContext, moment: str | None) -> Release | None:
    """The release that what serves now took the place of by a rollback, if that was later."""
    left = _left_since(context, moment or "")
    return max(left, key=lambda release: release.status.finished_at or "", default=None)


def _left_since(context: ReconcileContext, moment: str) -> list[Release]:
    """Those that were rolled back, to what serves now, at that moment or later."""
    stable = context.stable
    since = max((stable.status.promoted_at if stable else None) or "", moment)
    return [
        release
        for release in context.releases
        if release.status.stage in (Stage.RETAINED, Stage.RETIRED)
        and release.status.outcome == Outcome.ROLLED_BACK
        and (release.status.finished_at or "") >= since
    ]


def is_remade(context: ReconcileContext) -> bool:
    """Whether what serves is to be made again: a person asked while it served, and a check since
    then found its files damaged still. A release that fails at it is retried as any other."""
    stable = context.stable
    if stable is None or not stable.status.damaged or context.candidate is not None:
        return False
    status, check = stable.status, stable.status.check
    asked, checked = status.remake_asked_at, check.checked_at if check else None
    if asked is None or checked is None or not asked <= checked:
        return False
    before = asked < (status.promoted_at or "")
    return not before and is_asked(context, stable) and made_in_place(context, stable) is None


def made_in_place(context: ReconcileContext, stable: Release) -> Release | None:
    """The release that was made of the spec of `stable` again, and that failed or was aborted."""
    newest, desired = context.newest, context.desired
    if newest is None or isinstance(desired, Problem) or newest.spec.number <= stable.spec.number:
        return None
    aborted = newest.status.outcome == Outcome.ABORTED
    ended = newest.status.stage is Stage.FAILED or aborted
    return newest if ended and desired.is_release(newest) else None


def may_return(release: Release, desired: Desired) -> bool:
    return desired.is_release(release) and release.status.outcome != Outcome.ROLLED_BACK


def reusable(context: ReconcileContext, desired: Desired) -> Release | None:
    """A release whose model is of the desired space and passed its gates: stable, else newest.

    None whose model is known to be damaged in the store.
    """
    stable, lost = context.stable, lost_models(context)
    matching = [
        release
        for release in context.releases
        if release.spec.space_hash == desired.space_hash
        and is_same_store(release.spec.artifacts, desired.artifacts)
        and release.status.training is not None
        and release.status.training.artifact_digest not in lost
        and release.status.gates_passed_at is not None
    ]
    preferred = [r for r in matching if stable is not None and r.name == stable.name]
    return next(reversed(preferred or matching), None)
