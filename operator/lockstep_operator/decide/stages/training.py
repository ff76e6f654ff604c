"""Training: one Job per attempt until there is a model artifact."""

from __future__ import annotations

from typing import Literal

from lockstep_core.protocol.result import Result
from lockstep_operator import manifests
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import forward
from lockstep_operator.decide.context.transitions import Enter, Fail, Stay
from lockstep_operator.decide.jobs import attempts, job_runner
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind, short_name


def training(
    context: ReconcileContext, release: Release
) -> Stay | Enter[Literal[Stage.EVALUATING]] | Fail:
    if release.status.training is None:
        refused = _train(context, release)
        if refused is not None:
            return refused
    return to_evaluating(context, release.name)


def _train(context: ReconcileContext, release: Release) -> Stay | Fail | None:
    """None once the facts of the model are in the record."""
    name = release.name
    conflict = _rendezvous_conflict(context, release)
    if conflict is not None:
        return Fail(Reason.NAME_CONFLICT, conflict)
    task = job_runner.task(context, name, JobKind.TRAIN)
    result = job_runner.run(context, name, task)
    if not isinstance(result, Result):
        return result
    if result.training is None:
        message = "the trainer ended well without the facts of a model artifact"
        return Fail(Reason.INVALID_RESULT, message)
    context.change(name, training=result.training)
    for finding in result.training.findings:
        message = f"{short_name(name)} {finding.name}: {finding.message}"
        context.event(Reason.TRAINING_FINDING, message, warning=True)
    return None


def _rendezvous_conflict(context: ReconcileContext, release: Release) -> str | None:
    """The sentence about a Service that has the name of the rendezvous of its pods."""
    policy, name = context.model.spec.training, manifests.rendezvous_name(release.name)
    if policy is None or policy.distributed.pods == 1:
        return None
    return context.snapshot.conflict("Service", name, release.uid)


def to_evaluating(context: ReconcileContext, name: str) -> Stay | Enter[Literal[Stage.EVALUATING]]:
    """There is a model: it is measured next."""
    recorded = attempts.recorded_attempts(context.release(name).status)
    recorded = attempts.start(recorded, JobKind.EVALUATE, None, max(1, recorded.evaluating))
    return forward(context, name, Stage.EVALUATING, attempts=recorded)
