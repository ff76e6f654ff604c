"""The one order of every message: who is hurt, what is being done, history, and what to do.

Who answers stands at the front where users are hurt, with the pods and why they are down. Else it
stands behind what happens and why. Commands are last: people copy what stands there.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.snapshot.observed import Refusal
from lockstep_operator.decide.stages.watched import after_promotion, has_failed
from lockstep_operator.decide.status.drifts import drift_note
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.status.sentences import refusal_sentence
from lockstep_operator.decide.status.what_serves import Answers, at_risk, who_answers
from lockstep_operator.decide.vocabulary.hints import Verb, ask, describe_pod, pod_log, pods_of
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name

NO_WAY_BACK = "No other release is kept whole to go back to."


def tell(
    context: ReconcileContext,
    *,
    doing: Sequence[str] = (),
    history: Sequence[str] = (),
    serving: Sequence[str] | None = None,
    watched: bool = True,
    advice: Sequence[str] = (),
    commands: Sequence[str] = (),
) -> str:
    """The message. `serving`: what is known of what answers, None: its pods in trouble.

    `watched`: tells of a stable release that is still judged. One that failed its gates stands in
    front in any case. Where users are hurt, the command that helps them is the first.
    """
    answers = who_answers(context)
    about = [answers.sentence, *([at_risk(context)] if serving is None else serving)]
    hurt = [_down(context, answers)] if answers.hurt else []
    no_way_back, rescue = _rescue(context, answers)
    parts = [
        *hurt,
        _failed_after_promotion(context),
        *doing,
        *history,
        *([] if hurt else about),
        _still_judged(context) if watched else "",
        drift_note(context),
        no_way_back,
        *advice,
        # No full stop after a command: people copy what stands there. A semicolon is the shell's.
        "; ".join(dict.fromkeys([*rescue, *commands])),
    ]
    return " ".join(part for part in parts if part)


def is_hurt(context: ReconcileContext) -> bool:
    """Whether requests are not answered by what should answer them."""
    return who_answers(context).hurt


def stalled(reason: str, message: str) -> Summary:
    return Summary(Phase.DEGRADED, reason, message, stalled=True)


def refused(context: ReconcileContext, refusal: Refusal) -> Summary:
    doing = [refusal_sentence(refusal), "It is tried again."]
    return Summary(
        Phase.DEGRADED, Reason.WRITE_REFUSED, tell(context, doing=doing), reconciling=True
    )


def ways_back(context: ReconcileContext) -> list[str]:
    """A rollback, where an earlier release is ready and none is on its way back already."""
    candidate = context.candidate
    if candidate is not None and candidate.status.promoted_at is not None:
        return []
    for release in context.retained:
        if health_of(context, release).ready:
            short = short_name(release.name)
            return [f"Go back to {short}: {ask(context.model, Verb.ROLLBACK, release.name)}"]
    return []


def _down(context: ReconcileContext, answers: Answers) -> str:
    """Who cannot answer, which pods, and why."""
    parts = [answers.sentence]
    for release in answers.down:
        health = health_of(context, release)
        parts += [f"{health.sentence()}."] if health.missing else []
        if health.unready and not health.troubled:
            names = ", ".join(pod.pod for pod in health.unready[:2])
            parts.append(f"Not ready: {names}.")
    return " ".join(parts)


def _rescue(context: ReconcileContext, answers: Answers) -> tuple[str, list[str]]:
    """What brings answers back: a kept release that is whole; else where to look.

    Nothing where a kept release takes over already, or where the candidate's own commands help.
    """
    candidate, stable = context.candidate, context.stable
    stage = candidate.status.stage if candidate is not None else None
    returns = candidate is not None and candidate.status.promoted_at is not None
    is_down = stable is not None and stable.name in [release.name for release in answers.down]
    if stable is None or not is_down or returns or stage is Stage.ROLLING_BACK:
        return "", []
    if back := ways_back(context):
        return "", back
    return NO_WAY_BACK, [f"See why: {_where_to_look(context, stable)}"]


def _where_to_look(context: ReconcileContext, release: Release) -> str:
    model, unready = context.model, health_of(context, release).unready
    if not unready:
        return pods_of(model, release.name)
    pod = unready[0]
    if pod.container is None:
        return describe_pod(model, pod.pod)
    return pod_log(model, pod.pod, pod.container, previous=pod.previous)


def _failed_after_promotion(context: ReconcileContext) -> str:
    stable = context.stable
    return after_promotion(stable) if stable is not None and has_failed(stable) else ""


def _still_judged(context: ReconcileContext) -> str:
    stable = context.stable
    if stable is None or stable.status.watch is None or stable.status.watch.verdict is not None:
        return ""
    return f"{short_name(stable.name)} is still judged on its requests."
