"""What answers users now: who holds the entry point, and whether it can answer."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import ReleaseHealth
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.traffic import entry
from lockstep_operator.decide.traffic.stray_pods import stray_sentence
from lockstep_operator.decide.traffic.traffic import selected_release, shares
from lockstep_operator.decide.workloads.children import health_of
from lockstep_operator.manifests import short_name


def holder(context: ReconcileContext) -> Release | None:
    """The release that holds the entry point, as read back."""
    name = selected_release(context)
    return next((release for release in context.releases if release.name == name), None)


def health_if_it_runs(context: ReconcileContext, release: Release) -> ReleaseHealth | None:
    """None of a release that has no pods any more, or none yet."""
    return health_of(context, release) if facts_of(release.status.stage).runs_pods else None


def serving_sentence(context: ReconcileContext) -> str:
    """What answers users now. Nothing is said to answer all requests beside pods of nobody."""
    strays = stray_sentence(context)
    answers = _who_answers(context, all_requests="" if strays else " all requests")
    return answers if strays is None else f"{answers} {strays}"


def _who_answers(context: ReconcileContext, *, all_requests: str) -> str:
    release = holder(context)
    if release is None:
        if context.stable is None:
            return "Nothing serves yet."
        return f"The entry point does not select {short_name(context.stable.name)} and is restored."
    short = short_name(release.name)
    health = health_if_it_runs(context, release)
    rest, share = shares(context)
    candidate = context.candidate
    if candidate is not None and share == 100 and candidate.name != release.name:
        return f"{short_name(candidate.name)} still serves{all_requests}."
    if health is None or not health.serving:
        selection = entry.selected(context)
        if selection is not None and selection.beside is not None and share:
            return (
                f"{short} cannot answer: what comes is answered by {short_name(selection.beside)}."
            )
        if candidate is not None and share:
            answers = f"{short} cannot answer its {rest}% of the requests"
            return f"{answers}, {short_name(candidate.name)} answers {share}%."
        return f"{short} holds the entry point but cannot answer."
    if candidate is not None and share and candidate.name != release.name:
        return f"{short} serves {rest}% of the requests, {short_name(candidate.name)} {share}%."
    return f"{short} serves{all_requests}."
