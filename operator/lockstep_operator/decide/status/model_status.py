"""`EmbeddingModel.status`: recomputed each time from the releases; `lastHandled` alone is kept."""

from __future__ import annotations

from lockstep_operator.api.model import (
    EmbeddingModelStatus,
    Indexing,
    Phase,
    Pointer,
    StepStatus,
)
from lockstep_operator.api.objects import API_VERSION, Object, Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import Condition, ConditionStatus, GateVerdict, HistoryEntry
from lockstep_operator.decide import gates
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.plan import Reference, StatusWrite
from lockstep_operator.decide.snapshot.desired import frozen_of
from lockstep_operator.decide.snapshot.observed import Observed
from lockstep_operator.decide.snapshot.snapshot import Problem, Snapshot
from lockstep_operator.decide.stages.serving import has_failed, is_turned_down
from lockstep_operator.decide.status.release_status import gates_state
from lockstep_operator.decide.status.summary import Summary, is_asked, serving_sentence, summarize
from lockstep_operator.decide.traffic import entry, feasibility
from lockstep_operator.decide.traffic.steps import describe, plan_of, under_way, weight_at
from lockstep_operator.decide.traffic.traffic import selected_release, shares
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.conditions import State, conditions, true_or_false
from lockstep_operator.decide.vocabulary.hashing import recipe
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import encoder_name, short_name
from lockstep_operator.manifests.metadata import Component, selector_labels, selector_text

HISTORY_LIMIT = 10


def project_model(context: ReconcileContext) -> EmbeddingModelStatus:
    model, summary = context.model, summarize(context)
    stable, candidate = context.stable, context.candidate
    shown, step = _judged(context), _step(context, candidate) if candidate else None
    verdicts = (shown.status.gates if shown else None) or None
    return EmbeddingModelStatus(
        observed_generation=model.generation,
        phase=summary.phase,
        message=summary.message,
        stable=_stable_pointer(context, stable) if stable else None,
        candidate=_candidate_pointer(context, candidate) if candidate else None,
        step=step,
        step_display=f"{min(step.index, step.total)}/{step.total}" if step else None,
        weight_display=_weight_text(step) if step else None,
        gates=verdicts,
        gates_summary=gates.summary(verdicts) if verdicts else None,
        recall=_first_value(verdicts or []),
        replicas=_replicas(context, stable) if stable else None,
        selector=_selector(stable) if stable else None,
        last_handled=sorted(context.handled.values(), key=lambda entry: entry.verb) or None,
        history=_history(context) or None,
        conditions=conditions(
            _states(context, summary), model.status.conditions, model.generation, context.now
        ),
    )


def write_of(kind: str, raw: Object, status: Object) -> StatusWrite:
    metadata = raw["metadata"]
    return StatusWrite(Reference(API_VERSION, kind, metadata["name"], metadata.get("uid")), status)


def terminating(snapshot: Snapshot) -> EmbeddingModelStatus:
    """Ownership deletes all that is the model's; the status says what is going on."""
    message = "Is being deleted, with its releases, their pods and the entry point."
    states = [true_or_false("Ready", False, Reason.TERMINATING, message)]
    status, now = snapshot.model.status, clock.text(snapshot.now)
    found = conditions(states, status.conditions, snapshot.model.generation, now)
    fields = {"phase": Phase.TERMINATING, "message": message, "conditions": found}
    return status.model_copy(update=fields | {"observed_generation": snapshot.model.generation})


def unreadable(observed: Observed, problem: Problem, now: str) -> Object:
    """The status of a model whose spec cannot be read: what it said of what serves still holds."""
    assert observed.model is not None
    raw = observed.model
    before = dict(raw.get("status") or {})
    generation = int(raw["metadata"].get("generation", 0))
    known = [Condition.model_validate(found) for found in before.get("conditions") or []]
    message = f"{problem.message}. What serves goes on serving; nothing else is done."
    states = [
        State(found.type, found.status, found.reason, found.message)
        for found in known
        if found.type not in ("Ready", "Reconciling", "Stalled")
    ]
    states.append(true_or_false("Ready", False, problem.reason, message))
    states.append(true_or_false("Stalled", True, problem.reason, message))
    found = conditions(states, known, generation, now)
    return {
        **before,
        "observedGeneration": generation,
        "phase": str(Phase.DEGRADED),
        "message": message,
        "conditions": [condition.to_wire() for condition in found],
    }


def _judged(context: ReconcileContext) -> Release | None:
    """The release whose gates are shown: what is on its way, what just failed, what serves."""
    newest, stable = context.newest, context.stable
    failed = newest if newest and is_turned_down(newest) else None
    if stable is not None and is_asked(context, stable):
        failed = None  # the spec asks for it no more
    # While a kept release takes over, what matters is why.
    first = [stable] if stable is not None and has_failed(stable) else []
    found = [*first, context.candidate, failed, stable]
    return next((r for r in found if r is not None and r.status.gates), None)


def _first_value(verdicts: list[GateVerdict]) -> str | None:
    return next((verdict.value for verdict in verdicts if verdict.value is not None), None)


def _pointer(release: Release) -> Pointer:
    status = release.status
    return Pointer(
        release=release.name,
        space_id=status.training.space_id if status.training else None,
        stage=status.stage,
        since=status.stage_started_at,
        indexes=[index.name for index in release.spec.indexes],
    )


def _stable_pointer(context: ReconcileContext, stable: Release) -> Pointer:
    ready = upkeep(context, stable).ready
    fields = {
        "since": stable.status.promoted_at,
        "ready_replicas": ready,
        "weight": shares(context)[0],
    }
    return _pointer(stable).model_copy(update=fields)


def _candidate_pointer(context: ReconcileContext, candidate: Release) -> Pointer:
    return _pointer(candidate).model_copy(update={"weight": shares(context)[1]})


def _step(context: ReconcileContext, candidate: Release) -> StepStatus | None:
    """Where the candidate is; the weight that was read back is that of the last step done."""
    status, steps = candidate.status, plan_of(context)
    if (
        status.step is None
        or not steps.declared
        or status.stage not in (Stage.CANARY, Stage.PROMOTING)
    ):
        return None
    at, begun = status.step.index, under_way(context, candidate)
    done = at >= len(steps.steps)
    return StepStatus(
        index=at + 1,
        total=steps.declared,
        state=status.pause_reason or ("Done" if done else describe(steps.steps[at])),
        asked_weight=100 if status.stage is Stage.PROMOTING else weight_at(steps, begun),
        achieved_weight=status.weights.achieved if status.weights else 0,
        started_at=status.step.started_at,
    )


def _weight_text(step: StepStatus) -> str:
    if step.asked_weight == step.achieved_weight:
        return f"{step.asked_weight}%"
    return f"{step.asked_weight}% ({step.achieved_weight}%)"


def _replicas(context: ReconcileContext, stable: Release) -> int:
    found = context.snapshot.child("Deployment", encoder_name(stable.name), stable.uid)
    return int(((found or {}).get("status") or {}).get("replicas") or 0)


def _selector(stable: Release) -> str:
    return selector_text(selector_labels(stable.spec.model, stable.name, Component.ENCODER))


def _history(context: ReconcileContext) -> list[HistoryEntry]:
    """How releases ended, the newest first."""
    found = []
    for release in reversed(context.releases):
        status = release.status
        if status.outcome is None:
            continue
        found.append(
            HistoryEntry(
                release=release.name,
                outcome=status.outcome,
                reason=_reason_of(release),
                started_at=status.started_at,
                finished_at=status.finished_at or status.promoted_at,
            )
        )
    return found[:HISTORY_LIMIT]


def _reason_of(release: Release) -> str:
    """Why it failed or was given up; of a release that served, why it was made."""
    status = release.status
    if is_turned_down(release) and status.last_failure is not None:
        return status.last_failure.reason
    if status.stage is Stage.SUPERSEDED:
        ready = (c.reason for c in status.conditions or () if c.type == "Ready")
        return next(ready, str(status.outcome))
    return str(release.spec.cause)


def _states(context: ReconcileContext, summary: Summary) -> list[State]:
    found = [
        true_or_false("Ready", summary.ready, summary.reason, summary.message),
        _serving(context),
        _paired(context),
        _gates(context),
    ]
    if context.model.spec.indexing is Indexing.REQUIRED:
        found.append(_index_fresh(context))
    if context.model.spec.rollout.steps or feasibility.problem(context) is not None:
        found.append(_steps_accepted(context))
    if summary.reconciling:
        found.append(true_or_false("Reconciling", True, summary.reason, summary.message))
    if summary.stalled:
        found.append(true_or_false("Stalled", True, summary.reason, summary.message))
    return found


def _steps_accepted(context: ReconcileContext) -> State:
    refused = feasibility.problem(context)
    told = refused or f"Each of the {len(context.model.spec.rollout.steps)} steps can be taken."
    reason = Reason.STEPS_ACCEPTED if refused is None else Reason.STEPS_REFUSED
    return true_or_false("StepsAccepted", refused is None, reason, told)


def _selected(context: ReconcileContext) -> Release | None:
    name = selected_release(context)
    return next((release for release in context.releases if release.name == name), None)


def _serving(context: ReconcileContext) -> State:
    release, told = _selected(context), serving_sentence(context)
    if release is not None:
        pair = context.pairs.get(release.name)
        serving = pair is not None and pair.serving
        reason = Reason.SERVING if serving else Reason.PODS_NOT_READY
        return true_or_false("Serving", serving, reason, told)
    conflict = entry.conflict(context)
    if conflict is not None:
        return true_or_false("Serving", False, Reason.NAME_CONFLICT, conflict)
    reason = Reason.ENTRY_MISSING if context.stable else Reason.NO_RELEASE
    return true_or_false("Serving", False, reason, told)


def _paired(context: ReconcileContext) -> State:
    release = _selected(context)
    if release is None or release.status.training is None:
        return true_or_false("Paired", False, Reason.NO_RELEASE, "No release has the entry point.")
    short, space = short_name(release.name), release.status.training.space_id
    builds = release.status.builds or []
    strange = [build.index for build in builds if build.space_id != space]
    if strange:
        told = f"{short} is of space {space}, but not its {', '.join(strange)}."
        return true_or_false("Paired", False, Reason.SPACE_MISMATCH, told)
    pair = context.pairs.get(release.name)
    if pair is None or not pair.serving:
        told = f"{short}: {pair.told() if pair else 'not looked at'}."
        return true_or_false("Paired", False, Reason.PODS_NOT_READY, told)
    what = "the encoder alone" if not builds else "encoder and indexes"
    return true_or_false("Paired", True, Reason.SERVING, f"{short}: {what} of space {space}.")


def _gates(context: ReconcileContext) -> State:
    shown = _judged(context) or context.candidate or context.stable
    found = gates_state(shown) if shown else None
    if found is not None:
        return found
    told = "No release was measured yet."
    return State("GatesPassed", ConditionStatus.UNKNOWN, Reason.GATES_NOT_JUDGED, told)


def _index_fresh(context: ReconcileContext) -> State:
    stable = context.stable
    if stable is None:
        return true_or_false("IndexFresh", False, Reason.NO_RELEASE, "No release serves yet.")
    if isinstance(context.desired, Problem) and context.desired.reason is Reason.INVALID_INDEX:
        return true_or_false("IndexFresh", False, Reason.INVALID_INDEX, context.desired.message)
    frozen = {index.name: index for index in stable.spec.indexes}
    live = {index.name: index for index in context.snapshot.indexes}
    deleted = [name for name in frozen if name not in live]
    changed = [
        name
        for name, index in live.items()
        if name not in frozen or recipe(frozen[name]) != recipe(frozen_of(index))
    ]
    short = short_name(stable.name)
    if changed:
        told = f"{short} serves another build than {', '.join(changed)} asks for."
        return true_or_false("IndexFresh", False, Reason.INDEX_CHANGED, told)
    if deleted:
        told = f"{short} serves {', '.join(deleted)}, whose VectorIndex was deleted."
        return true_or_false("IndexFresh", False, Reason.INDEX_DELETED, told)
    told = f"Each index of {short} is what its VectorIndex asks for."
    return true_or_false("IndexFresh", True, Reason.UP_TO_DATE, told)
