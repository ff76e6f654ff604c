"""Serving: a release that was just promoted is judged on all requests; one that fails goes back."""

from __future__ import annotations

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage, Watch
from lockstep_operator.decide.analysis import analyse
from lockstep_operator.decide.children import upkeep
from lockstep_operator.decide.draft import Draft
from lockstep_operator.decide.gates import merged
from lockstep_operator.decide.giving_up import give_up
from lockstep_operator.decide.reasons import Outcome, Reason
from lockstep_operator.manifests import short_name


def first_watch(draft: Draft, release: Release) -> Watch | None:
    """The watch that begins with a promotion; None for a release that had served before.

    Nor for the first one: there is nothing to go back to.
    """
    returns = release.status.promoted_at is not None
    asked = draft.model.spec.rollout.after_promotion is not None
    return Watch(started_at=draft.now) if asked and not returns and draft.stable else None


def serving(draft: Draft, release: Release) -> None:
    """One look at the gates after the promotion, and the way back where they failed."""
    watch, asked = release.status.watch, draft.model.spec.rollout.after_promotion
    if watch is None:
        return
    if asked is None:
        draft.change(release.name, watch=None)
        return
    if watch.verdict is None:
        _judge(draft, release, asked.gates, watch)
    if has_failed(draft.release(release.name)):
        _go_back(draft, release)


def has_failed(release: Release) -> bool:
    """Whether its gates after the promotion failed, and no person let it pass them."""
    watch = release.status.watch
    return watch is not None and watch.verdict == Verdict.FAIL


def is_turned_down(release: Release) -> bool:
    """Whether it failed before it served, or after: then it was rolled back for it."""
    rolled_back = release.status.outcome == Outcome.ROLLED_BACK
    return release.status.stage is Stage.FAILED or (rolled_back and has_failed(release))


def after_promotion(release: Release) -> str:
    """What its gates said after its promotion, where they did not pass."""
    failure, watch = release.status.last_failure, release.status.watch
    short = short_name(release.name)
    if has_failed(release) and failure is not None:
        return f"{short} failed after its promotion: {failure.message}."
    lines = [
        f"{found.name}: {found.line}"
        for found in release.status.gates or ()
        if found.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR) and not found.dry_run
    ]
    undecided = watch is not None and watch.verdict == Verdict.INCONCLUSIVE
    return f"Its gates after the promotion do not decide: {'; '.join(lines)}." if undecided else ""


def _judge(draft: Draft, release: Release, names: list[str], watch: Watch) -> None:
    name, short = release.name, short_name(release.name)
    found = analyse(draft, release, names, watch)
    draft.watch_trouble = found.told if found.verdict is None else ""
    if found.verdict is None:
        return
    fields: dict[str, object] = {
        "watch": watch.model_copy(update={"verdict": found.verdict.value}),
        "gates": merged(release.status.gates or (), found.verdicts),
    }
    if found.verdict is Verdict.PASS:
        draft.event(Reason.GATES_PASSED, f"{short} after its promotion: {found.told}")
    elif found.verdict is Verdict.FAIL:
        fields["last_failure"] = draft.failure(name, Reason.GATE_FAILED, found.told, None, None)
        told = f"{short} failed after its promotion: {found.told}"
        draft.event(Reason.GATE_FAILED, told, warning=True)
    else:
        told = f"{short} after its promotion: {found.told}"
        draft.event(Reason.GATE_INCONCLUSIVE, told, warning=True)
    draft.change(name, **fields)


def _go_back(draft: Draft, release: Release) -> None:
    """To the release before, as soon as that is whole; what is on its way gives way to it."""
    kept, candidate = next(iter(draft.retained), None), draft.candidate
    returning = candidate is not None and candidate.status.promoted_at is not None
    if kept is None or returning or not upkeep(draft, kept).whole:
        return
    short, back = short_name(release.name), short_name(kept.name)
    if candidate is not None:
        told = f"gave way to {back}: {short}, which served, failed after its promotion"
        if not give_up(draft, candidate, Outcome.SUPERSEDED, Reason.SUPERSEDED, told):
            return
    draft.enter(kept.name, Stage.PROMOTING)
    told = f"{short} failed after its promotion: the entry point goes back to {back}"
    draft.event(Reason.ROLLED_BACK, told, warning=True)
