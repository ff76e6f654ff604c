"""Sentences that several summaries share: refusals, ways back, the analysis after a promotion."""

from __future__ import annotations

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot.observed import Refusal
from lockstep_operator.decide.stages.watched import after_promotion, has_failed
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.status.what_serves import serving_sentence
from lockstep_operator.decide.vocabulary.hints import Verb, ask
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name

# Gates, templates and deadlines are policy: a change of them is used, but starts nothing.
CHANGE_THE_SPEC = "Change `{}`, `spec.artifacts` or an index, and a new release starts at once."
CHANGE_THE_EVALUATION = "Change `spec.evaluation.data`, and the model is measured again at once."


def stalled(reason: str, *parts: str) -> Summary:
    message = " ".join(part for part in parts if part)
    return Summary(Phase.DEGRADED, reason, message, stalled=True)


def refused(context: ReconcileContext, refusal: Refusal) -> Summary:
    message = f"{refusal_sentence(refusal)} {serving_sentence(context)} It is tried again."
    return Summary(Phase.DEGRADED, Reason.WRITE_REFUSED, message, reconciling=True)


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


def watch_of_stable(context: ReconcileContext) -> str:
    """What the person must know of a stable release that is judged, beside what is on its way."""
    stable = context.stable
    if stable is None or stable.status.watch is None:
        return ""
    if stable.status.watch.verdict is None:
        return f"{short_name(stable.name)} is still judged on its requests."
    return after_promotion(stable) if has_failed(stable) else ""


def ways_back(context: ReconcileContext) -> list[str]:
    """A rollback, where an earlier release is ready."""
    for release in context.retained:
        if health_of(context, release).ready:
            short = short_name(release.name)
            return [f"Go back to {short}: {ask(context.model, Verb.ROLLBACK, release.name)}"]
    return []
