"""RollingBack: the traffic returns to the stable release before the candidate is taken down."""

from __future__ import annotations

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Ending, Stage, Weights
from lockstep_operator.decide import clock
from lockstep_operator.decide.children import upkeep
from lockstep_operator.decide.draft import Draft
from lockstep_operator.decide.pauses import seconds_left
from lockstep_operator.decide.reasons import Outcome, Reason
from lockstep_operator.decide.routers.router import Traffic
from lockstep_operator.decide.traffic import has_all_requests, selected_release
from lockstep_operator.manifests import short_name

_ABORTED = Ending(
    stage=Stage.PROMOTING,
    outcome=Outcome.ABORTED,
    reason=Reason.ABORTED,
    message="was aborted while being promoted",
)


def rolling_back(draft: Draft, release: Release) -> None:
    """Traffic never goes to a release that cannot take it: it stays where it is until it can.

    Stable's capacity returns before its traffic does; the candidate's weight only ever falls.
    """
    name, stable = release.name, draft.stable
    ending = release.status.ending or _ABORTED
    if stable is None:
        _end(draft, name, ending)
        return
    upkeep(draft, release)
    if has_all_requests(draft, stable.name):
        _drain(draft, release, ending)
        return
    why = f"{ending.reason}: {ending.message}"
    if _must_stay(draft, release, stable):
        told = f"keeps its traffic, as {short_name(stable.name)} has no pods ready for it ({why})"
    else:
        draft.traffic = Traffic(stable.name)
        told = f"gives its traffic back to {short_name(stable.name)} ({why})"
    draft.say(name, Reason.ROLLING_BACK, told)


def _must_stay(draft: Draft, release: Release, stable: Release) -> bool:
    """Whether stable cannot take the traffic yet, and the candidate still answers it."""
    here, there = upkeep(draft, release), upkeep(draft, stable)
    if not here.serving:
        return False
    switched = selected_release(draft) == release.name
    if there.serving and (there.whole or switched):
        return False
    left = seconds_left(draft, release.name, release.status.stage_started_at or draft.now)
    if there.serving and left is not None and left <= 0:
        return False
    if left is not None:
        draft.wake_in(left)
    weights = release.status.weights
    if switched:
        draft.traffic = Traffic(release.name)
    elif weights is not None:
        draft.traffic = Traffic(stable.name, release.name, weights.asked)
    return True


def _drain(draft: Draft, release: Release, ending: Ending) -> None:
    """What reached the candidate before every node had heard of it is still answered."""
    name, weights = release.name, release.status.weights
    draft.say(name, Reason.ROLLING_BACK, f"has no traffic any more ({ending.reason})")
    if weights is None:
        # It took none in the first place.
        _end(draft, name, ending)
        return
    if weights.achieved or weights.asked:
        weights = Weights(asked=0, achieved=0, since=draft.now)
        draft.change(name, weights=weights)
    limit = draft.model.spec.rollout.abort_scale_down_delay_seconds
    left = limit - clock.seconds_since(weights.since, draft.scene.now)
    if left > 0:
        draft.wake_in(left)
        return
    _end(draft, name, ending)


def _end(draft: Draft, name: str, ending: Ending) -> None:
    fields = {"step": None, "weights": None, "approved_at": None}
    draft.change(name, **fields)
    if ending.outcome == Outcome.FAILED:
        draft.fail(
            name,
            ending.reason,
            ending.message,
            exit_code=ending.exit_code,
            pod=ending.pod,
            stage=ending.stage,
        )
        return
    draft.end(name, ending.outcome, Reason(ending.reason), ending.message, stage=ending.stage)
