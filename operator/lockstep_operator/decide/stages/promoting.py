"""Promoting: the entry point moves to a whole pair in one write, and is read back."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.children import REMNANT_SECONDS, upkeep
from lockstep_operator.decide.draft import Draft
from lockstep_operator.decide.pauses import is_held
from lockstep_operator.decide.reasons import Outcome, Reason
from lockstep_operator.decide.stages.finalizing import retain_others
from lockstep_operator.decide.traffic import entry_conflict, entry_remnant, selected_release
from lockstep_operator.manifests import short_name


def promoting(draft: Draft, release: Release) -> None:
    name, pair = release.name, upkeep(draft, release)
    if selected_release(draft) == name:
        _finalize(draft, release)
        return
    conflict, remnant = entry_conflict(draft), entry_remnant(draft)
    if remnant is not None:
        draft.wake_in(REMNANT_SECONDS)
        draft.say(name, Reason.PROMOTING, f"is whole, and waits: {remnant}")
    elif conflict is not None:
        draft.fail(name, Reason.NAME_CONFLICT, conflict)
    elif not pair.whole:
        _step_back(draft, release, pair.told())
    elif is_held(draft, release):
        draft.say(name, Reason.PAUSED, "is whole, held before the entry point moves")
    else:
        draft.entry_target = name
        draft.say(name, Reason.PROMOTING, "is whole: the entry point moves to it")


def _finalize(draft: Draft, release: Release) -> None:
    """The entry point was read back: from here on this release is the stable one."""
    name = release.name
    draft.enter(
        name,
        Stage.FINALIZING,
        promoted_at=draft.now,
        finished_at=None,
        outcome=Outcome.PROMOTED,
    )
    draft.event(Reason.FINALIZING, f"the entry point selects {short_name(name)}")
    draft.say(name, Reason.FINALIZING, "has the entry point")
    retain_others(draft, release)


def _step_back(draft: Draft, release: Release, lacking: str) -> None:
    """A pair that is whole no more does not get the entry point."""
    name, told = release.name, f"is not whole any more, so the entry point stays: {lacking}"
    if release.status.promoted_at is None:
        draft.enter(name, Stage.WARMING)
        reason = Reason.WARMING
    else:
        draft.enter(name, Stage.RETAINED, finished_at=release.status.finished_at)
        reason = Reason.RETAINED
    draft.say(name, reason, told)
    draft.event(reason, f"{short_name(name)} {told}", warning=True)
