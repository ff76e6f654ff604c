"""RollingBack: the entry point returns to the stable release before the candidate is taken down."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.decide.children import upkeep
from lockstep_operator.decide.draft import Draft
from lockstep_operator.decide.reasons import Outcome, Reason
from lockstep_operator.decide.traffic import selected_release
from lockstep_operator.manifests import short_name


def rolling_back(draft: Draft, release: Release) -> None:
    """Traffic never goes to a release that cannot take it: it stays where it is until it can."""
    name, stable = release.name, draft.stable
    selected = selected_release(draft)
    if stable is None or selected == stable.name:
        draft.end(name, Outcome.ABORTED, Reason.ABORTED, "was aborted while being promoted")
        return
    pair = upkeep(draft, release)
    if selected == name and pair.serving and not upkeep(draft, stable).serving:
        draft.entry_target = name
        told = f"was aborted, but {short_name(stable.name)} has no ready pods to go back to"
    else:
        draft.entry_target = stable.name
        told = f"was aborted: the entry point goes back to {short_name(stable.name)}"
    draft.say(name, Reason.ROLLING_BACK, told)
