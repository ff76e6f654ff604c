"""Importing: a Job takes a model that was trained elsewhere over, instead of Training."""

from __future__ import annotations

from lockstep_operator import manifests
from lockstep_operator.api.gate_rows import GatePhase
from lockstep_operator.api.objects import Release
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.jobs import job_runner
from lockstep_operator.decide.stages.evaluating import to_indexing
from lockstep_operator.decide.stages.training import to_evaluating
from lockstep_operator.decide.vocabulary.formatting import UNMEASURED
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name


def importing(context: ReconcileContext, release: Release) -> None:
    name = release.name
    if release.status.training is None and not _take_over(context, name):
        return
    if release.spec.held_out is not None:
        to_evaluating(context, name)
    elif _may_go_unmeasured(context, name):
        to_indexing(context, name)


def _take_over(context: ReconcileContext, name: str) -> bool:
    secrets = context.snapshot.settings.image_pull_secrets
    task = job_runner.Task(
        kind=JobKind.IMPORT,
        index=None,
        build=lambda attempt: manifests.import_job(
            context.model, context.release(name), attempt, pull_secrets=secrets
        ),
        template="`spec.serving.template`",
        deadline=f"`{context.model.spec.origin_field}.activeDeadlineSeconds`",
    )
    result = job_runner.run(context, name, task)
    if result is None:
        return False
    facts, source = result.training, context.release(name).spec.artifact
    assert source is not None
    if facts is None:
        message = "the import ended well without the facts of a model artifact"
        context.fail(name, Reason.INVALID_RESULT, message)
        return False
    if facts.artifact_digest != source.digest:
        message = f"the import took {facts.artifact_digest} over, not {source.digest}"
        context.fail(name, Reason.RESULT_MISMATCH, message)
        return False
    context.change(name, training=facts)
    return True


def _may_go_unmeasured(context: ReconcileContext, name: str) -> bool:
    """Without a labelled set nothing is measured; a gate that was set since must not be skipped."""
    gates = context.model.spec.rollout.gates
    offline = [gate.name for gate in gates if gate.phase is GatePhase.OFFLINE]
    if offline:
        message = f"{UNMEASURED}, and gate {offline[0]} asks for it: set `spec.evaluation.data`"
        context.fail(name, Reason.INVALID_SPEC, message)
        return False
    if context.release(name).status.gates_passed_at is None:
        context.change(name, gates_passed_at=context.now)
        context.event(Reason.GATES_NOT_JUDGED, f"{short_name(name)} is {UNMEASURED}")
    return True
