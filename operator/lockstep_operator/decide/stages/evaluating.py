"""Evaluating: a Job measures the candidate on held-out items, and the gates judge it here."""

from __future__ import annotations

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide import gates
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import forward, pause, resume
from lockstep_operator.decide.jobs import attempts, job_runner
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name


def evaluating(context: ReconcileContext, release: Release) -> None:
    name = release.name
    if release.status.evaluation is None and not _measure(context, name):
        return
    if release.status.gates_passed_at is None and not _judge(context, name):
        return
    to_indexing(context, name)


def to_indexing(context: ReconcileContext, name: str) -> None:
    """The model may be used: its indexes are built next, where it has any."""
    indexes = context.release(name).spec.indexes
    if not indexes:
        forward(context, name, Stage.WARMING)
        return
    book = attempts.book(context.release(name).status)
    for index in indexes:
        first = book.indexing.get(index.name, 1)
        book = attempts.start(book, JobKind.BUILD, index.name, first)
    forward(context, name, Stage.INDEXING, attempts=book)


def _measure(context: ReconcileContext, name: str) -> bool:
    result = job_runner.run(context, name, job_runner.task(context, name, JobKind.EVALUATE))
    if result is None:
        return False
    facts, training = result.evaluation, context.release(name).status.training
    if facts is None or training is None:
        message = "the evaluation ended well without any measurement"
        context.fail(name, Reason.INVALID_RESULT, message)
        return False
    if facts.artifact_digest != training.artifact_digest:
        message = (
            f"the evaluation measured {facts.artifact_digest}, but the model of this release is"
            f" {training.artifact_digest}"
        )
        context.fail(name, Reason.RESULT_MISMATCH, message)
        return False
    context.change(name, evaluation=facts)
    return True


def _judge(context: ReconcileContext, name: str) -> bool:
    status = context.release(name).status
    assert status.evaluation is not None
    verdicts = gates.judge(
        context.model.spec.rollout.gates,
        status.evaluation,
        status.gates or (),
        context.now,
        short_name(context.stable.name) if context.stable else None,
    )
    context.change(name, gates=verdicts)
    verdict = gates.overall(verdicts)
    told = "; ".join(f"{found.name}: {found.line}" for found in verdicts if _counts(found, verdict))
    if verdict is Verdict.FAIL:
        context.fail(name, Reason.GATE_FAILED, told)
        return False
    if verdict is not Verdict.PASS:
        if status.pause_reason != Reason.GATE_INCONCLUSIVE:
            pause(context, name, Reason.GATE_INCONCLUSIVE)
            context.event(Reason.GATE_INCONCLUSIVE, f"{short_name(name)}: {told}", warning=True)
        context.say(name, Reason.GATE_INCONCLUSIVE, f"waits for a person at gate {told}")
        return False
    if status.pause_reason == Reason.GATE_INCONCLUSIVE:
        resume(context, name)
    context.change(name, gates_passed_at=context.now)
    context.event(Reason.GATES_PASSED, f"{short_name(name)}: {told}")
    return True


def _counts(found: GateVerdict, verdict: Verdict) -> bool:
    """The lines that a person needs: all of a pass, else the gates that are in the way."""
    return verdict is Verdict.PASS or (found.verdict != Verdict.PASS and not found.dry_run)
