"""Sentences that several summaries share: refusals, and which field to change."""

from __future__ import annotations

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot.observed import Refusal

# Gates, templates and deadlines are policy: a change of them is used, but starts nothing.
CHANGE_THE_SPEC = "Change `{}`, `spec.artifacts` or an index, and a new release starts at once."
CHANGE_THE_EVALUATION = "Change `spec.evaluation.data`, and the model is measured again at once."


def refusal_sentence(refusal: Refusal) -> str:
    return f"The API server refused {refusal.kind} {refusal.name}: {refusal.message.rstrip('.')}."


def change_the_spec(context: ReconcileContext) -> str:
    return CHANGE_THE_SPEC.format(context.model.spec.origin_field)


def change_what_failed(context: ReconcileContext, failed: Release) -> str:
    """The field that mends `failed`: of an imported model, held-out items are not its own."""
    failure = failed.status.last_failure
    if (
        context.model.spec.evaluation is not None
        and failed.status.failed_stage is Stage.EVALUATING
        and failure is not None
        and failure.exit_code == ExitCode.BAD_DATASET
    ):
        return CHANGE_THE_EVALUATION
    return change_the_spec(context)
