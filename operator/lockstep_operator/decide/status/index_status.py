"""`VectorIndex.status`: what the model's releases carry of this recipe."""

from __future__ import annotations

from pydantic import ValidationError

from lockstep_core.protocol.result import BuildFacts
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.index import BuildPointer, VectorIndexStatus
from lockstep_operator.api.model import Indexing, Phase
from lockstep_operator.api.objects import Index, Object, Release
from lockstep_operator.api.release import FrozenIndex, Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.gates.index_recall import index_recall, index_recall_text
from lockstep_operator.decide.snapshot.desired import frozen_of, unreachable
from lockstep_operator.decide.status.kstatus import Summary, other_states
from lockstep_operator.decide.vocabulary.conditions import State, conditions, true_or_false
from lockstep_operator.decide.vocabulary.hashing import recipe
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import index_name, short_name
from lockstep_operator.manifests.metadata import Component, selector_labels, selector_text


def project_index(context: ReconcileContext, index: Index) -> VectorIndexStatus:
    stable, candidate = context.stable, context.candidate
    serving = _carried(stable, index.name)
    building = _carried(candidate, index.name)
    summary = _summarize(context, index)
    status = VectorIndexStatus(
        serving=_pointer(stable, serving),
        candidate=_pointer(candidate, building),
        replicas=_replicas(context, stable, index.name) if stable and serving else None,
        selector=_selector(stable, index.name) if stable and serving else None,
        last_built_at=_last_built_at(stable, candidate, serving, building),
    )
    extra = [_built(serving, building), _recall_met(serving, building)]
    return _with_summary(status, index.status, index.generation, summary, extra, context.now)


def without_model(index: Index, model: str, now: str) -> VectorIndexStatus:
    """The status of an index whose model is not there."""
    message = (
        f"`spec.modelRef.name` is {model}, and there is no EmbeddingModel of that name in"
        f" namespace {index.namespace}: apply it, or make a VectorIndex for another model."
    )
    summary = Summary(Phase.PENDING, Reason.MODEL_NOT_FOUND, message)
    return _with_summary(VectorIndexStatus(), index.status, index.generation, summary, [], now)


def broken(raw: Object, problem: str, now: str) -> VectorIndexStatus:
    """The status of a VectorIndex that this version cannot read; what serves is not touched."""
    try:
        before = VectorIndexStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        before = VectorIndexStatus()
    message = f"{problem}. What serves goes on serving."
    summary = Summary(Phase.DEGRADED, Reason.INVALID_SPEC, message, stalled=True)
    kept = other_states(before.conditions or ())
    generation = int(raw["metadata"].get("generation", 0))
    return _with_summary(before, before, generation, summary, kept, now)


def _with_summary(
    status: VectorIndexStatus,
    before: VectorIndexStatus,
    generation: int,
    summary: Summary,
    extra: list[State],
    now: str,
) -> VectorIndexStatus:
    states = [*summary.states(), *extra]
    return status.replace(
        observed_generation=generation,
        phase=str(summary.phase),
        message=summary.message,
        conditions=conditions(states, before.conditions, generation, now),
    )


def _summarize(context: ReconcileContext, index: Index) -> Summary:
    spec, model = index.spec, context.model
    if model.spec.indexing is Indexing.NONE:
        message = (
            f"EmbeddingModel {model.name} has `spec.indexing: None`, so it is released without"
            " indexes: set it to Required."
        )
        return Summary(Phase.PENDING, Reason.INDEXING_DISABLED, message)
    wrong = unreachable(model.spec.artifacts, spec.source.uri, "spec.source.uri")
    if wrong is not None:
        return Summary(Phase.DEGRADED, Reason.INVALID_SPEC, f"{wrong}.", stalled=True)
    if _is_of(context.stable, index):
        return _served(context, index)
    return _on_its_way(context, index)


def _served(context: ReconcileContext, index: Index) -> Summary:
    stable = context.stable
    assert stable is not None
    short, health = short_name(stable.name), health_of(context, stable)
    name = index_name(stable.name, index.name)
    lacking = [line for line in health.missing if f" {name} " in line]
    if lacking:
        message = f"{short} carries it, but {'; '.join(lacking)}."
        phase = Phase.PROGRESSING if health.rolling else Phase.DEGRADED
        reason = Reason.ROLLING_IN_PLACE if health.rolling else Reason.PODS_NOT_READY
        return Summary(phase, reason, message, reconciling=health.rolling)
    return Summary(Phase.HEALTHY, Reason.HEALTHY, f"{short} serves it.", ready=True)


def _on_its_way(context: ReconcileContext, index: Index) -> Summary:
    """The recipe as it is now does not serve: which release will carry it, or why none does."""
    candidate, newest, stable = context.candidate, context.newest, context.stable
    now = ""
    if stable is not None and any(frozen.name == index.name for frozen in stable.spec.indexes):
        now = f" {short_name(stable.name)} serves an earlier build."
    if candidate is not None and _is_of(candidate, index):
        message = f"{short_name(candidate.name)} carries it and is {candidate.status.stage}.{now}"
        return Summary(Phase.PROGRESSING, str(candidate.status.stage), message, reconciling=True)
    if newest is not None and newest.status.stage is Stage.FAILED and _is_of(newest, index):
        failure = newest.status.last_failure
        reason = failure.reason if failure else Reason.RELEASE_FAILED
        what = f"{short_name(newest.name)} carried it and failed: {reason}"
        message = f"{what}; see em/{context.model.name}.{now}"
        return Summary(Phase.DEGRADED, reason, message, stalled=True)
    why = context.change_waits or "a release that carries it is not made yet"
    message = f"Waits: {why}.{now}"
    return Summary(
        Phase.PENDING, Reason.CHANGE_WAITS, message, reconciling=bool(context.change_waits)
    )


def _is_of(release: Release | None, index: Index) -> bool:
    """Whether a release carries this recipe as it is now."""
    wanted = recipe(frozen_of(index))
    return release is not None and any(recipe(f) == wanted for f in release.spec.indexes)


Carried = tuple[FrozenIndex, BuildFacts]


def _carried(release: Release | None, name: str) -> Carried | None:
    """A release's frozen recipe and its build of one index, once it is built."""
    if release is None:
        return None
    frozen = next((f for f in release.spec.indexes if f.name == name), None)
    build = next((b for b in release.status.builds or () if b.index == name), None)
    return None if frozen is None or build is None else (frozen, build)


def _pointer(release: Release | None, carried: Carried | None) -> BuildPointer | None:
    if release is None or carried is None:
        return None
    frozen, build = carried
    return BuildPointer(
        release=release.name,
        build_digest=build.build_digest,
        space_id=build.space_id,
        rows=build.rows,
        bytes=build.bytes,
        recall=index_recall_text(frozen, build),
    )


def _replicas(context: ReconcileContext, stable: Release, name: str) -> int:
    deployment = context.snapshot.child("Deployment", index_name(stable.name, name), stable.uid)
    return int(((deployment or {}).get("status") or {}).get("replicas") or 0)


def _selector(stable: Release, name: str) -> str:
    return selector_text(selector_labels(stable.spec.model, stable.name, Component.INDEX, name))


def _last_built_at(
    stable: Release | None,
    candidate: Release | None,
    serving: Carried | None,
    building: Carried | None,
) -> str | None:
    if candidate is not None and building is not None and candidate.status.built_at:
        return candidate.status.built_at
    return stable.status.built_at if stable is not None and serving is not None else None


def _built(serving: Carried | None, building: Carried | None) -> State:
    shown = serving or building
    if shown is None:
        return true_or_false("Built", False, Reason.NO_RELEASE, "No build of it yet.")
    build = shown[1]
    message = f"{build.rows} rows in space {build.space_id}."
    return true_or_false("Built", True, Reason.UP_TO_DATE, message)


def _recall_met(serving: Carried | None, building: Carried | None) -> State:
    shown = serving or building
    if shown is None:
        return true_or_false("RecallMet", False, Reason.NO_RELEASE, "No build of it yet.")
    met = index_recall(*shown).verdict is Verdict.PASS
    reason = Reason.UP_TO_DATE if met else Reason.INDEX_RECALL_LOW
    return true_or_false("RecallMet", met, reason, index_recall_text(*shown))
