"""Scenarios of a release that is judged after its promotion, on all requests."""

from __future__ import annotations

from tests.e2e.support.ground import RECALL
from tests.e2e.support.kube import Object
from tests.e2e.support.models import Defect
from tests.reliability.canary import ROLLBACK_SECONDS, record_last_answer
from tests.reliability.defects import ERRORS
from tests.reliability.scenario import Story, scenario

LOOKS = 3


def watched() -> Object:
    """No canary sees the candidate: the entry point moves at once."""
    gate = ERRORS | {"count": LOOKS}
    return {
        "rollout": {"gates": [RECALL, gate], "steps": [], "afterPromotion": {"gates": ["errors"]}}
    }


def as_before(story: Story) -> None:
    """The rollout of the ground again."""
    ground = story.ground
    ground.world.patch("em", {"rollout": ground.rollout | {"afterPromotion": None}})


@scenario("healthy release is judged after its promotion")
def healthy(story: Story) -> None:
    ground = story.ground
    number = ground.release_next(**watched())
    try:
        ground.until_stage(number, "Serving", seconds=240)
        ground.until(
            lambda: (ground.status(number).get("watch") or {}).get("verdict") == "Pass",
            what=f"r{number} judged",
        )
        gates = {gate["name"]: gate for gate in ground.status(number)["gates"]}
        story.outcome, story.line = f"r{number} Serving", f"errors: {gates['errors']['line']}"
    finally:
        as_before(story)


@scenario("erring encoder, seen after its promotion")
def erring(story: Story) -> None:
    ground = story.ground
    # Its own answers are all that may fail, and only as long as the gate needs to see it.
    story.own_failures = "the model failed on this input"
    before = ground.stable()
    number = ground.release_next(Defect.ERRING, **watched())
    try:
        ground.until_stage(number, "Serving", seconds=240)
        ground.until(
            lambda: ground.stage(number) == "Retained", what=f"r{number} Retained", seconds=120
        )
        ground.until_stable(before)
        assert ground.status(number)["outcome"] == "RolledBack", ground.status(number)
        line = ground.message()
        assert f"r{number} failed after its promotion: errors: 5xx" in line, line
        story.outcome, story.line = f"r{before} Serving, r{number} RolledBack", line
        served = ground.when(number, lambda seen: seen.status.get("stage") == "Serving")
        verdict = ground.when(
            number, lambda seen: (seen.status.get("watch") or {}).get("verdict") == "Fail"
        )
        assert served is not None and verdict is not None
        story.numbers["promotedToVerdict"] = round(verdict - served, 1)
        record_last_answer(story, number, verdict, bar=ROLLBACK_SECONDS)
    finally:
        as_before(story)
