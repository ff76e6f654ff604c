"""`EmbeddingModel.status`: recomputed each time from the releases; `lastHandled` alone is kept."""

from __future__ import annotations

from lockstep_operator.api.model import (
    EmbeddingModelStatus,
    Phase,
    Pointer,
    StepStatus,
)
from lockstep_operator.api.objects import API_VERSION, Object, Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import Condition, GateVerdict, HistoryEntry
from lockstep_operator.decide import gates
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.plan import Reference, StatusWrite
from lockstep_operator.decide.snapshot.observed import Observed
from lockstep_operator.decide.snapshot.snapshot import Problem, Snapshot
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.stages.watched import is_turned_down
from lockstep_operator.decide.status.intruders import staying_sentence
from lockstep_operator.decide.status.kstatus import kstatus, other_states
from lockstep_operator.decide.status.model_conditions import columns_of, states_of
from lockstep_operator.decide.status.release_status import gates_shown
from lockstep_operator.decide.status.summary import summarize
from lockstep_operator.decide.traffic.steps import describe, plan_of, under_way, weight_at
from lockstep_operator.decide.traffic.traffic import shares
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.conditions import conditions
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import encoder_name
from lockstep_operator.manifests.metadata import Component, selector_labels, selector_text

HISTORY_LIMIT = 10


def project_model(context: ReconcileContext) -> EmbeddingModelStatus:
    model, summary = context.model, summarize(context)
    stable, candidate = context.stable, context.candidate
    shown, step = columns_of(context), _step(context, candidate) if candidate else None
    verdicts = (gates_shown(shown) if shown else None) or None
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
            states_of(context, summary), model.status.conditions, model.generation, context.now
        ),
    )


def write_of(kind: str, raw: Object, status: Object) -> StatusWrite:
    metadata = raw["metadata"]
    return StatusWrite(Reference(API_VERSION, kind, metadata["name"], metadata.get("uid")), status)


def terminating(snapshot: Snapshot) -> EmbeddingModelStatus:
    """Garbage collection deletes all that the model owns; the status reports that."""
    parts = ["Is being deleted, with its releases, their pods and the entry point."]
    message = " ".join([*parts, *filter(None, [staying_sentence(snapshot)])])
    states = kstatus(Reason.TERMINATING, message, ready=False, reconciling=False, stalled=False)
    status, now = snapshot.model.status, clock.text(snapshot.now)
    listed = conditions(states, status.conditions, snapshot.model.generation, now)
    return status.replace(
        phase=Phase.TERMINATING,
        message=message,
        conditions=listed,
        observed_generation=snapshot.model.generation,
    )


def unreadable(observed: Observed, problem: Problem, now: str) -> Object:
    """The status of a model whose spec cannot be read: its fields about what serves still hold."""
    assert observed.model is not None
    raw = observed.model
    before = dict(raw.get("status") or {})
    generation = int(raw["metadata"].get("generation", 0))
    known = [Condition.model_validate(old) for old in before.get("conditions") or []]
    message = f"{problem.message}. What serves goes on serving; nothing else is done."
    about = kstatus(problem.reason, message, ready=False, reconciling=False, stalled=True)
    states = [*other_states(known), *about]
    listed = conditions(states, known, generation, now)
    return {
        **before,
        "observedGeneration": generation,
        "phase": str(Phase.DEGRADED),
        "message": message,
        "conditions": [condition.to_wire() for condition in listed],
    }


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
    ready = health_of(context, stable).ready_pods
    return _pointer(stable).replace(
        since=stable.status.promoted_at, ready_replicas=ready, weight=shares(context)[0]
    )


def _candidate_pointer(context: ReconcileContext, candidate: Release) -> Pointer:
    return _pointer(candidate).replace(weight=shares(context)[1])


def _step(context: ReconcileContext, candidate: Release) -> StepStatus | None:
    """Where the candidate is; the weight that was read back is that of the last step done."""
    status, steps = candidate.status, plan_of(context)
    if status.step is None or not steps.declared or not facts_of(status.stage).shows_step:
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
    deployment = context.snapshot.child("Deployment", encoder_name(stable.name), stable.uid)
    return int(((deployment or {}).get("status") or {}).get("replicas") or 0)


def _selector(stable: Release) -> str:
    return selector_text(selector_labels(stable.spec.model, stable.name, Component.ENCODER))


def _history(context: ReconcileContext) -> list[HistoryEntry]:
    """How releases ended, the newest first."""
    entries = []
    for release in reversed(context.releases):
        status = release.status
        if status.outcome is None:
            continue
        entries.append(
            HistoryEntry(
                release=release.name,
                outcome=status.outcome,
                reason=_reason_of(release),
                started_at=status.started_at,
                finished_at=status.got_there_at or status.finished_at,
                replaced_at=status.finished_at if status.got_there_at else None,
            )
        )
    return entries[:HISTORY_LIMIT]


def _reason_of(release: Release) -> str:
    """Why it failed, was given up or was rolled back; of any other, why it was made."""
    status = release.status
    if is_turned_down(release) and status.last_failure is not None:
        return status.last_failure.reason
    if status.stage is Stage.SUPERSEDED:
        ready = (c.reason for c in status.conditions or () if c.type == "Ready")
        return next(ready, str(status.outcome))
    if status.outcome in (Outcome.ROLLED_BACK, Outcome.REVERTED):
        return str(status.outcome)
    return str(release.spec.cause)
