"""What answers users now: who holds the entry point, and whether it can answer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from lockstep_operator.api.objects import Release
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.health import LINES_SHOWN, ReleaseHealth
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


@dataclass(frozen=True)
class Answers:
    """Who answers users. `down`: those that should answer some requests and cannot. `hurt`: some
    requests are not answered by what should answer them."""

    sentence: str
    down: tuple[Release, ...] = ()
    hurt: bool = False


def who_answers(context: ReconcileContext) -> Answers:
    """Nothing is said to answer all requests beside pods of nobody."""
    strays = stray_sentence(context)
    answers = _who_answers(context, all_requests="" if strays else " all requests")
    if strays is None:
        return answers
    return dataclasses.replace(answers, sentence=f"{answers.sentence} {strays}")


def serving_sentence(context: ReconcileContext) -> str:
    """What answers users now."""
    return who_answers(context).sentence


def at_risk(context: ReconcileContext) -> str:
    """The pods of what serves that do not start or crash, while others answer; mostly empty."""
    release = holder(context)
    health = health_if_it_runs(context, release) if release is not None else None
    if release is None or health is None or not health.serving or not health.troubled:
        return ""
    return f"Of {short_name(release.name)}: {'; '.join(health.troubled[:LINES_SHOWN])}."


def _who_answers(context: ReconcileContext, *, all_requests: str) -> Answers:
    release, candidate, stable = holder(context), context.candidate, context.stable
    rest, share = shares(context)
    if release is None:
        if stable is None:
            return Answers("Nothing serves yet.")
        missing = f"The entry point does not select {short_name(stable.name)} and is restored."
        return Answers(missing, hurt=True)
    short = short_name(release.name)
    if candidate is not None and share == 100 and candidate.name != release.name:
        return _one(context, candidate, f"still serves{all_requests}", "has all requests")
    beside = candidate if candidate is not None and candidate.name != release.name else None
    if not _serves(context, release):
        return _holder_is_down(context, release, beside)
    if beside is not None and share and not _serves(context, beside):
        return _candidate_is_down(context, release, beside)
    if beside is not None and share:
        answers = f"{short} serves {rest}% of the requests, {short_name(beside.name)} {share}%."
        return Answers(answers)
    return Answers(f"{short} serves{all_requests}.")


def _holder_is_down(context: ReconcileContext, release: Release, beside: Release | None) -> Answers:
    short, (rest, share) = short_name(release.name), shares(context)
    shared = _shared_with(context)
    if shared is not None and share:
        what = f"{short} cannot answer: what comes is answered by {short_name(shared)}."
    elif beside is not None and share:
        answers = f"{short} cannot answer its {rest}% of the requests"
        what = f"{answers}, {short_name(beside.name)} answers {share}%."
    else:
        what = f"{short} holds the entry point but cannot answer."
    return Answers(what, (release,), hurt=True)


def _candidate_is_down(context: ReconcileContext, release: Release, beside: Release) -> Answers:
    """Pods that are not ready get nothing of what both releases' pods share."""
    short, other, (rest, share) = short_name(release.name), beside.name, shares(context)
    if _shared_with(context) == other:
        what = f"{short_name(other)} cannot answer: what comes is answered by {short}."
        return Answers(what, (beside,))
    answers = f"{short_name(other)} cannot answer its {share}% of the requests"
    return Answers(f"{answers}, {short} answers {rest}%.", (beside,), hurt=True)


def _shared_with(context: ReconcileContext) -> str | None:
    """The release whose pods the entry point selects beside those of its holder."""
    selection = entry.selected(context)
    return selection.beside if selection is not None else None


def _one(context: ReconcileContext, release: Release, serves: str, has: str) -> Answers:
    short = short_name(release.name)
    if _serves(context, release):
        return Answers(f"{short} {serves}.")
    return Answers(f"{short} {has} but cannot answer.", (release,), hurt=True)


def _serves(context: ReconcileContext, release: Release) -> bool:
    health = health_if_it_runs(context, release)
    return health is not None and health.serving
