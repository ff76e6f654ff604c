"""Serving: a release that was just promoted is judged on all requests; one that fails goes back."""

from __future__ import annotations

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.traffic_records import Watch
from lockstep_operator.decide.context.context import MESSAGE_LIMIT, ReconcileContext
from lockstep_operator.decide.context.transitions import Stay
from lockstep_operator.decide.gates import analyse, merged
from lockstep_operator.decide.stages.ending import give_up
from lockstep_operator.decide.stages.returning import return_to
from lockstep_operator.decide.stages.watched import has_failed, way_back
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name


def serving(context: ReconcileContext, release: Release) -> Stay:
    """One look at the gates after the promotion, and the way back where they failed."""
    watch, asked = release.status.watch, context.model.spec.rollout.after_promotion
    if watch is None:
        return Stay()
    if asked is None and not has_failed(release):
        context.change(release.name, after_promotion=None)
        return Stay()
    if watch.verdict is None and asked is not None:
        _judge(context, release, asked.gates, watch)
    release = context.release(release.name)
    kept, candidate = way_back(context, release), context.candidate
    if candidate is not None and candidate.status.promoted_at is not None:
        _note_return(context, release)
    elif kept is not None:
        _go_back(context, release, kept, candidate)
    return Stay()


def _judge(context: ReconcileContext, release: Release, names: list[str], watch: Watch) -> None:
    name, short = release.name, short_name(release.name)
    analysis = analyse(context, release, names, watch)
    context.watch_trouble = analysis.message if analysis.verdict is None else ""
    if analysis.verdict is None:
        return
    judged = {"verdict": analysis.verdict.value, "told": analysis.message[:MESSAGE_LIMIT]}
    fields: dict[str, object] = {
        "watch": watch.replace(**judged),
        "gates": merged(release.status.gates or (), analysis.verdicts),
    }
    if analysis.verdict is Verdict.PASS:
        context.event(Reason.GATES_PASSED, f"{short} after its promotion: {analysis.message}")
    elif analysis.verdict is Verdict.FAIL:
        fields["last_failure"] = context.failure(name, Reason.GATE_FAILED, analysis.message)
        message = f"{short} failed after its promotion: {analysis.message}"
        context.event(Reason.GATE_FAILED, message, warning=True)
    else:
        message = f"{short} after its promotion: {analysis.message}"
        context.event(Reason.GATE_INCONCLUSIVE, message, warning=True)
    context.change(name, **fields)


def _note_return(context: ReconcileContext, release: Release) -> None:
    """Recorded once it is observed: a crash after an earlier record would leave no way back."""
    watch = release.status.watch
    if watch is not None and has_failed(release) and watch.returned_at is None:
        context.change(release.name, watch=watch.replace(returned_at=context.now))


def _go_back(
    context: ReconcileContext, release: Release, kept: Release, candidate: Release | None
) -> None:
    """The candidate gives way to the kept release, and gives its traffic back before the switch."""
    short, back = short_name(release.name), short_name(kept.name)
    if candidate is not None:
        why = f"gave way to {back}: {short}, which served, failed after its promotion"
        ended = give_up(context, candidate, Outcome.SUPERSEDED, Stage.SUPERSEDED, why)
        # One that cannot answer takes no traffic back: then the switch takes it from both.
        if not ended and health_of(context, release).serving:
            return
    return_to(context, kept)
    message = f"{short} failed after its promotion: the entry point goes back to {back}"
    context.event(Reason.ROLLED_BACK, message, warning=True)
