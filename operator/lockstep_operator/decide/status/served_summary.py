"""What the spec asks for serves: is it ready, does the entry point select it, is it judged?"""

from __future__ import annotations

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.stages.watched import after_promotion, has_failed
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.status.sentences import change_the_spec
from lockstep_operator.decide.status.stored import damage_of_stable
from lockstep_operator.decide.status.telling import stalled, tell, ways_back
from lockstep_operator.decide.traffic.traffic import selected_release
from lockstep_operator.decide.vocabulary.formatting import training_short
from lockstep_operator.decide.vocabulary.hints import Verb, ask
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name


def served(context: ReconcileContext, stable: Release) -> Summary:
    """The stable release is what the spec asks: is it ready, and does the entry point select it?"""
    short, health = short_name(stable.name), health_of(context, stable)
    if stable.status.stage is Stage.FINALIZING:
        moved = f"{short} has the entry point; what it replaced is kept for a rollback."
        message = tell(context, doing=[moved])
        return Summary(Phase.PROGRESSING, Stage.FINALIZING, message, reconciling=True)
    selected = selected_release(context) == stable.name
    if health.ready and selected:
        if stable.status.watch is not None:
            return _watched(context, stable)
        message = tell(context, serving=_side_notes(context, stable))
        return Summary(Phase.HEALTHY, Reason.HEALTHY, message, ready=True)
    lacking = health.sentence()
    if health.serving and health.rolling and selected:
        message = tell(context, serving=[f"Its pods are changed in place: {lacking}."])
        return Summary(Phase.PROGRESSING, Reason.ROLLING_IN_PLACE, message, reconciling=True)
    reason = Reason.PODS_NOT_READY if lacking else Reason.ENTRY_MISSING
    serving = [f"{lacking}."] if lacking else []
    return Summary(
        Phase.DEGRADED, reason, tell(context, serving=serving, commands=ways_back(context))
    )


def _watched(context: ReconcileContext, stable: Release) -> Summary:
    """It answers all requests, and is judged on them or was."""
    model, name = context.model, stable.name
    verdict = stable.status.watch.verdict if stable.status.watch else None
    notes = _side_notes(context, stable)
    commands = [
        f"Settle for it: {ask(model, Verb.PROMOTE, name)}",
        f"Measure again: {ask(model, Verb.RETRY, name)}",
    ]
    if verdict is None:
        serving = [_judged_on_them(context), *notes]
        message = tell(context, serving=serving, watched=False, commands=commands[:1])
        return Summary(Phase.PROGRESSING, Reason.WATCHED, message, reconciling=True)
    if verdict == Verdict.FAIL:
        message = tell(
            context,
            doing=[f"It stays: {_why_it_stays(context, stable)}."],
            serving=notes,
            advice=[change_the_spec(context)],
            commands=[*ways_back(context), *commands],
        )
        return stalled(Reason.GATE_FAILED, message)
    if verdict == Verdict.INCONCLUSIVE:
        message = tell(context, serving=[after_promotion(stable), *notes], commands=commands)
        return Summary(Phase.HEALTHY, Reason.GATE_INCONCLUSIVE, message, ready=True)
    return Summary(Phase.HEALTHY, Reason.HEALTHY, tell(context, serving=notes), ready=True)


def _judged_on_them(context: ReconcileContext) -> str:
    asked = context.model.spec.rollout.after_promotion
    gates = ", ".join(asked.gates) if asked else ""
    trouble = f"; {context.watch_trouble}" if context.watch_trouble else ""
    back = [short_name(kept.name) for kept in context.retained[:1]]
    way = f", and {back[0]} returns if it fails" if back else ""
    return f"It is judged on them by {gates}{way}{trouble}."


def _why_it_stays(context: ReconcileContext, stable: Release) -> str:
    kept = next((r for r in context.retained if not has_failed(r)), None)
    if stable.status.watch is not None and stable.status.watch.returned_at is not None:
        return "the way back ended, and is not begun again by itself"
    if kept is None:
        return "no release is kept whole to go back to"
    return f"{short_name(kept.name)} is not whole to go back to"


def _side_notes(context: ReconcileContext, stable: Release) -> list[str]:
    live = {index.name for index in context.snapshot.indexes}
    deleted = [index.name for index in stable.spec.indexes if index.name not in live]
    notes = []
    if deleted:
        notes.append(f"It still carries {', '.join(deleted)}, whose VectorIndex was deleted.")
    if findings := training_short(stable.status.training):
        notes.append(f"Its training told {findings}: see `status.training` of {stable.name}.")
    return [*notes, *damage_of_stable(context, stable)]
