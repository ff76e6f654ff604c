"""Importing: a Job takes a model that was trained elsewhere over, instead of Training."""

from __future__ import annotations

from typing import Literal

from lockstep_core.protocol.result import Result
from lockstep_operator.api.gate_rows import GatePhase
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import Enter, Fail, Stay
from lockstep_operator.decide.jobs import job_runner
from lockstep_operator.decide.stages.evaluating import to_indexing
from lockstep_operator.decide.stages.training import to_evaluating
from lockstep_operator.decide.vocabulary.formatting import UNMEASURED
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name


def importing(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.EVALUATING, Stage.INDEXING, Stage.WARMING]] | Fail:
    name = release.name
    if release.status.training is None:
        in_the_way = _take_over(context, name)
        if in_the_way is not None:
            return in_the_way
    if release.spec.held_out is not None:
        return to_evaluating(context, name)
    return _refuse_unmeasured(context, name) or to_indexing(context, name)


def _take_over(context: ReconcileContext, name: str) -> Stay | Fail | None:
    """None once the facts of the model are in the record."""
    task = job_runner.task(context, name, JobKind.IMPORT)
    result = job_runner.run(context, name, task)
    if not isinstance(result, Result):
        return result
    facts, source = result.training, context.release(name).spec.artifact
    assert source is not None
    if facts is None:
        message = "the import ended well without the facts of a model artifact"
        return Fail(Reason.INVALID_RESULT, message)
    if facts.artifact_digest != source.digest:
        message = f"the import took {facts.artifact_digest} over, not {source.digest}"
        return Fail(Reason.RESULT_MISMATCH, message)
    context.change(name, training=facts)
    return None


def _refuse_unmeasured(context: ReconcileContext, name: str) -> Fail | None:
    """Without a labelled set nothing is measured; a gate that was set since must not be skipped."""
    gates = context.model.spec.rollout.gates
    offline = [gate.name for gate in gates if gate.phase is GatePhase.OFFLINE]
    if offline:
        message = f"{UNMEASURED}, and gate {offline[0]} asks for it: set `spec.evaluation.data`"
        return Fail(Reason.INVALID_SPEC, message)
    if context.release(name).status.gates_passed_at is None:
        context.change(name, gates_passed_at=context.now)
        context.event(Reason.GATES_NOT_JUDGED, f"{short_name(name)} is {UNMEASURED}")
    return None
