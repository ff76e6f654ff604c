"""Evaluating: a Job measures the candidate on held-out items, and the gates judge it here."""

from __future__ import annotations

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator import manifests
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide import gates
from lockstep_operator.decide.context.context import Draft
from lockstep_operator.decide.context.pauses import forward, pause, resume
from lockstep_operator.decide.jobs import attempts, job_runner
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name


def evaluating(draft: Draft, release: Release) -> None:
    name = release.name
    if release.status.evaluation is None and not _measure(draft, name):
        return
    if release.status.gates_passed_at is None and not _judge(draft, name):
        return
    to_indexing(draft, name)


def to_indexing(draft: Draft, name: str) -> None:
    """The model may be used: its indexes are built next, where it has any."""
    indexes = draft.release(name).spec.indexes
    if not indexes:
        forward(draft, name, Stage.WARMING)
        return
    book = attempts.book(draft.release(name).status)
    for index in indexes:
        first = book.indexing.get(index.name, 1)
        book = attempts.start(book, JobKind.BUILD, index.name, first)
    forward(draft, name, Stage.INDEXING, attempts=book)


def _measure(draft: Draft, name: str) -> bool:
    secrets = draft.scene.settings.image_pull_secrets
    task = job_runner.Task(
        kind=JobKind.EVALUATE,
        index=None,
        build=lambda attempt: manifests.evaluation_job(
            draft.model, draft.release(name), attempt, draft.stable, pull_secrets=secrets
        ),
        template="`spec.serving.template`",
        deadline=f"`{draft.model.spec.origin_field}.activeDeadlineSeconds`",
    )
    result = job_runner.run(draft, name, task)
    if result is None:
        return False
    facts, training = result.evaluation, draft.release(name).status.training
    if facts is None or training is None:
        message = "the evaluation ended well without any measurement"
        draft.fail(name, Reason.INVALID_RESULT, message)
        return False
    if facts.artifact_digest != training.artifact_digest:
        message = (
            f"the evaluation measured {facts.artifact_digest}, but the model of this release is"
            f" {training.artifact_digest}"
        )
        draft.fail(name, Reason.RESULT_MISMATCH, message)
        return False
    draft.change(name, evaluation=facts)
    return True


def _judge(draft: Draft, name: str) -> bool:
    status = draft.release(name).status
    assert status.evaluation is not None
    verdicts = gates.judge(
        draft.model.spec.rollout.gates,
        status.evaluation,
        status.gates or (),
        draft.now,
        short_name(draft.stable.name) if draft.stable else None,
    )
    draft.change(name, gates=verdicts)
    verdict = gates.overall(verdicts)
    told = "; ".join(f"{found.name}: {found.line}" for found in verdicts if _counts(found, verdict))
    if verdict is Verdict.FAIL:
        draft.fail(name, Reason.GATE_FAILED, told)
        return False
    if verdict is not Verdict.PASS:
        if status.pause_reason != Reason.GATE_INCONCLUSIVE:
            pause(draft, name, Reason.GATE_INCONCLUSIVE)
            draft.event(Reason.GATE_INCONCLUSIVE, f"{short_name(name)}: {told}", warning=True)
        draft.say(name, Reason.GATE_INCONCLUSIVE, f"waits for a person at gate {told}")
        return False
    if status.pause_reason == Reason.GATE_INCONCLUSIVE:
        resume(draft, name)
    draft.change(name, gates_passed_at=draft.now)
    draft.event(Reason.GATES_PASSED, f"{short_name(name)}: {told}")
    return True


def _counts(found: GateVerdict, verdict: Verdict) -> bool:
    """The lines that a person needs: all of a pass, else the gates that are in the way."""
    return verdict is Verdict.PASS or (found.verdict != Verdict.PASS and not found.dry_run)
