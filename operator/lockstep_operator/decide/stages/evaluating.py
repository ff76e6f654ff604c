"""Evaluating: a Job measures the candidate on held-out items, and the gates judge it here."""

from __future__ import annotations

from typing import Literal

from lockstep_core.protocol.result import Result
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide import gates
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import forward, pause, resume
from lockstep_operator.decide.context.transitions import Enter, Fail, Stay, stay
from lockstep_operator.decide.jobs import attempts, job_runner
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name


def evaluating(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.INDEXING, Stage.WARMING]] | Fail:
    name = release.name
    in_the_way: Stay | Fail | None = None
    if release.status.evaluation is None:
        in_the_way = _measure(context, name)
    if in_the_way is None and release.status.gates_passed_at is None:
        in_the_way = _judge(context, name)
    return in_the_way or to_indexing(context, name)


def to_indexing(
    context: ReconcileContext, name: str
) -> Stay | Enter[Literal[Stage.INDEXING, Stage.WARMING]]:
    """The model may be used: its indexes are built next, where it has any."""
    indexes = context.release(name).spec.indexes
    if not indexes:
        return forward(context, name, Stage.WARMING)
    recorded = attempts.recorded_attempts(context.release(name).status)
    for index in indexes:
        first = recorded.indexing.get(index.name, 1)
        recorded = attempts.start(recorded, JobKind.BUILD, index.name, first)
    return forward(context, name, Stage.INDEXING, attempts=recorded)


def _measure(context: ReconcileContext, name: str) -> Stay | Fail | None:
    """None once the evaluation's facts are in the record."""
    task = job_runner.task(context, name, JobKind.EVALUATE)
    result = job_runner.run(context, name, task)
    if not isinstance(result, Result):
        return result
    facts, training = result.evaluation, context.release(name).status.training
    if facts is None or training is None:
        message = "the evaluation ended well without any measurement"
        return Fail(Reason.INVALID_RESULT, message)
    if facts.artifact_digest != training.artifact_digest:
        message = (
            f"the evaluation measured {facts.artifact_digest}, but the model of this release is"
            f" {training.artifact_digest}"
        )
        return Fail(Reason.RESULT_MISMATCH, message)
    compared = any(recall.stable is not None for recall in facts.recall) and context.stable
    context.change(name, evaluation=facts, compared_with=compared.name if compared else None)
    return None


def _compared_with(context: ReconcileContext, name: str) -> str | None:
    """The short name of the release that it was measured beside, else of what serves."""
    known = context.release(name).status.compared_with
    if known is not None:
        return short_name(known)
    return short_name(context.stable.name) if context.stable else None


def _judge(context: ReconcileContext, name: str) -> Stay | Fail | None:
    """None once the gates were passed."""
    status = context.release(name).status
    assert status.evaluation is not None
    verdicts = gates.judge_offline(
        context.model.spec.rollout.gates,
        status.evaluation,
        status.gates or (),
        context.now,
        _compared_with(context, name),
    )
    context.change(name, gates=verdicts)
    verdict = gates.overall(verdicts)
    lines = "; ".join(f"{one.name}: {one.line}" for one in verdicts if _counts(one, verdict))
    if verdict is Verdict.FAIL:
        return Fail(Reason.GATE_FAILED, lines)
    if verdict is not Verdict.PASS:
        if status.pause_reason != Reason.GATE_INCONCLUSIVE:
            pause(context, name, Reason.GATE_INCONCLUSIVE)
            context.event(Reason.GATE_INCONCLUSIVE, f"{short_name(name)}: {lines}", warning=True)
        return stay(Reason.GATE_INCONCLUSIVE, f"waits for a person at gate {lines}")
    if status.pause_reason == Reason.GATE_INCONCLUSIVE:
        resume(context, name)
    context.change(name, gates_passed_at=context.now)
    context.event(Reason.GATES_PASSED, f"{short_name(name)}: {lines}")
    return None


def _counts(one: GateVerdict, verdict: Verdict) -> bool:
    """The lines that a person needs: all of a pass, else the gates that are in the way."""
    return verdict is Verdict.PASS or (one.verdict != Verdict.PASS and not one.dry_run)
