"""Which releases exist: what the spec asks against what there is, and the one next step.

Where the newest release is what the spec asks, nothing is begun, whatever became of it: so nothing
that failed, was aborted or was rolled back starts again by itself.
"""

from __future__ import annotations

from lockstep_operator import manifests
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.api.release import (
    Cause,
    DriftOrigin,
    EmbeddingReleaseSpec,
    ReusedModel,
    Stage,
)
from lockstep_operator.api.rollout import Supersede
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import End
from lockstep_operator.decide.releases.wanted import (
    is_remade,
    is_settled,
    may_return,
    reusable,
)
from lockstep_operator.decide.snapshot.desired import Desired
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.stages.apply import apply
from lockstep_operator.decide.stages.ending import give_up
from lockstep_operator.decide.stages.returning import keeps_its_place, return_to
from lockstep_operator.decide.stages.watched import way_back
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import release_name, short_name


def follow(context: ReconcileContext) -> Object | None:
    """Brings the releases one step closer to the spec. Returns an EmbeddingRelease to create."""
    desired = context.desired
    _drop_strays(context)
    _replace_lost_stable(context)
    if not isinstance(desired, Desired) or _is_switching(context):
        return None
    remade = is_remade(context)
    if is_settled(context, desired) and not remade:
        return None
    if context.model.spec.rollout.paused:
        context.change_waits = "`spec.rollout.paused` is true"
        return None
    if remade:
        return _next_release(context, desired)
    stable, candidate = context.stable, context.candidate
    if stable is not None and (desired.is_release(stable) or desired.is_within(stable)):
        if candidate is not None:
            _withdraw(context, candidate, stable)
        return None
    kept = next((r for r in context.retained if may_return(r, desired)), None)
    if kept is not None and not _is_lost(context, kept):
        _return_by_spec(context, kept)
        return None
    if candidate is not None:
        _supersede(context, candidate, desired)
        return None
    return _next_release(context, desired)


def _is_switching(context: ReconcileContext) -> bool:
    """While the entry point moves, a change of the spec waits for the end of the move."""
    candidate, stable = context.candidate, context.stable
    stage = candidate.status.stage if candidate is not None else None
    # A candidate whose stable release is gone is all that serves: it takes its place first.
    moving = facts_of(stage).switches or (stage is Stage.CANARY and stable is None)
    if stable is None:
        return moving
    goes_back = way_back(context, stable) is not None
    return moving or goes_back or stable.status.stage is Stage.FINALIZING


def _withdraw(context: ReconcileContext, candidate: Release, other: Release) -> None:
    message = f"was given up: the spec is what {short_name(other.name)} is again"
    give_up(context, candidate, Outcome.ROLLED_BACK, Reason.REVERTED, message)


def _return_by_spec(context: ReconcileContext, kept: Release) -> None:
    """The spec went back to a release that is still kept: it returns as it is."""
    health = health_of(context, kept)
    if not health.ready:
        short = short_name(kept.name)
        context.change_waits = f"{short} is what the spec asks, but {health.sentence()}"
        return
    candidate = context.candidate
    if candidate is not None:
        _withdraw(context, candidate, kept)
        if context.candidate is not None:
            context.change_waits = f"{short_name(candidate.name)} gives its traffic back first"
            return
    return_to(context, kept)
    message = f"the spec is what {short_name(kept.name)} is: it returns without a new release"
    context.event(Reason.REVERTED, message)


def _is_lost(context: ReconcileContext, kept: Release) -> bool:
    """Whether its pods cannot be had again: then what the spec asks for is made anew."""
    return bool(kept.status.damaged) and not health_of(context, kept).ready


def _supersede(context: ReconcileContext, candidate: Release, desired: Desired) -> None:
    """A third spec ends the candidate, unless its model is what the new release will reuse."""
    stage = candidate.status.stage
    if context.model.spec.rollout.supersede is Supersede.QUEUE:
        short = short_name(candidate.name)
        context.change_waits = f"{short} ends first (`spec.rollout.supersede: Queue`)"
        return
    same_model = desired.has_model_of(candidate)
    if same_model and not facts_of(stage).judged and reusable(context, desired) is None:
        short = short_name(candidate.name)
        context.change_waits = f"the indexes changed, and wait for the model of {short} to pass"
        return
    message = "was given up: the spec changed again before it was promoted"
    give_up(context, candidate, Outcome.SUPERSEDED, Stage.SUPERSEDED, message)


def _next_release(context: ReconcileContext, desired: Desired) -> Object | None:
    newest, source = context.newest, reusable(context, desired)
    failed_model = (
        newest is not None
        and newest.status.stage is Stage.FAILED
        and not facts_of(newest.status.failed_stage).judged
        and desired.has_model_of(newest)
    )
    if failed_model and newest is not None and source is None:
        # Only another space trains anew: a model that failed would fail again.
        short = short_name(newest.name)
        context.change_waits = f"the indexes changed, but the model of {short} failed"
        return None
    return make_release(context, desired, cause=_cause(context, desired), source=source)


def make_release(
    context: ReconcileContext,
    desired: Desired,
    *,
    cause: Cause,
    source: Release | None,
    drift: DriftOrigin | None = None,
) -> Object:
    """The next release of what is asked. `source`: its model is taken over, not trained."""
    model, number = context.model, context.snapshot.next_number
    spec = EmbeddingReleaseSpec(
        model=model.name,
        number=number,
        cause=cause,
        space_hash=desired.space_hash,
        index_hash=desired.index_hash,
        artifacts=desired.artifacts,
        training=desired.training,
        artifact=desired.artifact,
        evaluation=desired.evaluation,
        reuse=_reuse(source),
        drift=drift,
        indexes=list(desired.indexes),
        default_index=_default_index(context, desired),
        images=context.snapshot.settings.images,
    )
    message = f"{spec.cause}: {release_name(model.name, number)} is made"
    context.event(Reason.RELEASE_CREATED, message)
    return manifests.release_manifest(model, number, spec)


def _default_index(context: ReconcileContext, desired: Desired) -> str | None:
    """Searches that name no index must not break because another index comes."""
    names = [index.name for index in desired.indexes]
    before = context.stable or context.newest
    default = before.spec.answers_by_default() if before is not None else None
    return default if default in names and len(names) > 1 else None


def _reuse(source: Release | None) -> ReusedModel | None:
    if source is None or source.status.training is None:
        return None
    return ReusedModel(release=source.name, training=source.status.training)


def _cause(context: ReconcileContext, desired: Desired) -> Cause:
    before = context.stable or context.newest
    if before is None:
        return Cause.FIRST
    if before.spec.artifacts != desired.artifacts:
        return Cause.STORE_CHANGED
    if is_remade(context):
        return Cause.ARTIFACTS_DAMAGED
    same = desired.has_model_of(before)
    return Cause.INDEX_CHANGED if same else Cause.MODEL_CHANGED


def _drop_strays(context: ReconcileContext) -> None:
    """At most one release is on its way. Two are only after a crash or a restored backup."""
    candidate = context.candidate
    for release in context.releases:
        stray = facts_of(release.status.stage).on_its_way
        if candidate is None or not stray or release.name == candidate.name:
            continue
        if release.status.promoted_at is not None:
            apply(context, release.name, keeps_its_place(release))
        else:
            why = f"was given up: {short_name(candidate.name)} is on its way instead"
            apply(context, release.name, End(Outcome.SUPERSEDED, Stage.SUPERSEDED, why))


def _replace_lost_stable(context: ReconcileContext) -> None:
    """The stable release's record was deleted by hand: the last kept one takes over."""
    candidate = context.candidate
    moving = candidate is not None and candidate.status.stage is Stage.PROMOTING
    if context.stable is not None or moving or not context.retained:
        return
    kept = context.retained[0]
    if health_of(context, kept).ready:
        return_to(context, kept)
        message = (
            f"the record of the release that served is gone: {short_name(kept.name)} takes over"
        )
        context.event(Reason.ROLLED_BACK, message, warning=True)
