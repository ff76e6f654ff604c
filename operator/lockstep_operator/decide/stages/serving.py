"""Serving: a release that was just promoted is judged on all requests; one that fails goes back."""

from __future__ import annotations

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage, Watch
from lockstep_operator.decide.context.context import MESSAGE_LIMIT, ReconcileContext
from lockstep_operator.decide.gates import analyse, merged
from lockstep_operator.decide.stages.ending import give_up
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.decide.workloads.children import upkeep
from lockstep_operator.manifests import short_name


def first_watch(context: ReconcileContext, release: Release) -> Watch | None:
    """The watch that begins with a promotion.

    None for the first release, which nothing can take the place of, and for one that had served
    before, unless it was replaced while it was still judged.
    """
    stable, watch = context.stable, release.status.watch
    is_new = release.status.promoted_at is None or (watch is not None and watch.verdict is None)
    if context.model.spec.rollout.after_promotion is None or stable is None or not is_new:
        return None
    return Watch(started_at=context.now, replaced=stable.name)


def serving(context: ReconcileContext, release: Release) -> None:
    """One look at the gates after the promotion, and the way back where they failed."""
    watch, asked = release.status.watch, context.model.spec.rollout.after_promotion
    if watch is None:
        return
    if asked is None and not has_failed(release):
        context.change(release.name, watch=None)
        return
    if watch.verdict is None and asked is not None:
        _judge(context, release, asked.gates, watch)
    release = context.release(release.name)
    kept, candidate = way_back(context, release), context.candidate
    if candidate is not None and candidate.status.promoted_at is not None:
        _note_return(context, release)
    elif kept is not None:
        _go_back(context, release, kept, candidate)


def has_failed(release: Release) -> bool:
    """Whether its gates after the promotion failed, and no person let it pass them."""
    watch = release.status.watch
    return watch is not None and watch.has_failed


def is_turned_down(release: Release) -> bool:
    """Whether it failed before it served, or after: then it was rolled back for it."""
    rolled_back = release.status.outcome == Outcome.ROLLED_BACK
    return release.status.stage is Stage.FAILED or (rolled_back and has_failed(release))


def after_promotion(release: Release) -> str:
    """What its gates said after its promotion, where they did not pass."""
    short, watch = short_name(release.name), release.status.watch
    if watch is None or watch.told is None:
        return ""
    if has_failed(release):
        return f"{short} failed after its promotion: {watch.told}."
    undecided = watch.verdict == Verdict.INCONCLUSIVE
    return f"Its gates after the promotion do not decide: {watch.told}." if undecided else ""


def way_back(context: ReconcileContext, release: Release) -> Release | None:
    """The kept release that takes over from one that failed: whole, and no failure itself.

    It is tried once. A way back that led nowhere, or that a person ended, is not tried again.
    """
    watch, kept = release.status.watch, next(iter(context.retained), None)
    if not has_failed(release) or watch is None or watch.returned_at is not None:
        return None
    if kept is None or has_failed(kept) or not upkeep(context, kept).whole:
        return None
    return kept


def _judge(context: ReconcileContext, release: Release, names: list[str], watch: Watch) -> None:
    name, short = release.name, short_name(release.name)
    found = analyse(context, release, names, watch)
    context.watch_trouble = found.told if found.verdict is None else ""
    if found.verdict is None:
        return
    judged = {"verdict": found.verdict.value, "told": found.told[:MESSAGE_LIMIT]}
    fields: dict[str, object] = {
        "watch": watch.model_copy(update=judged),
        "gates": merged(release.status.gates or (), found.verdicts),
    }
    if found.verdict is Verdict.PASS:
        context.event(Reason.GATES_PASSED, f"{short} after its promotion: {found.told}")
    elif found.verdict is Verdict.FAIL:
        fields["last_failure"] = context.failure(name, Reason.GATE_FAILED, found.told, None, None)
        told = f"{short} failed after its promotion: {found.told}"
        context.event(Reason.GATE_FAILED, told, warning=True)
    else:
        told = f"{short} after its promotion: {found.told}"
        context.event(Reason.GATE_INCONCLUSIVE, told, warning=True)
    context.change(name, **fields)


def _note_return(context: ReconcileContext, release: Release) -> None:
    """Only once it is seen: noted with the deed, it would be all that a kill in between leaves."""
    watch = release.status.watch
    if watch is not None and has_failed(release) and watch.returned_at is None:
        context.change(release.name, watch=watch.model_copy(update={"returned_at": context.now}))


def _go_back(
    context: ReconcileContext, release: Release, kept: Release, candidate: Release | None
) -> None:
    """What is on its way gives way to it, and has given its traffic back before the switch."""
    short, back = short_name(release.name), short_name(kept.name)
    if candidate is not None:
        told = f"gave way to {back}: {short}, which served, failed after its promotion"
        ended = give_up(context, candidate, Outcome.SUPERSEDED, Reason.SUPERSEDED, told)
        # One that cannot answer takes no traffic back: then the switch takes it from both.
        if not ended and upkeep(context, release).serving:
            return
    context.enter(kept.name, Stage.PROMOTING)
    told = f"{short} failed after its promotion: the entry point goes back to {back}"
    context.event(Reason.ROLLED_BACK, told, warning=True)
