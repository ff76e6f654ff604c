"""Scenarios of a canary by shares of pods: what goes well, and what people ask for on the way."""

from __future__ import annotations

import time
from typing import Any

from tests.e2e.support.ground import BEFORE_CANARY, ENDED, STEPS, Ground, share
from tests.reliability.scenario import Story, scenario

POINTS = 10
ROLLBACK_SECONDS = 10
# Steps of STEPS at which a candidate can be found, from 0: the last one is the promotion.
TAKEN = range(len(STEPS) - 1)
# Verifying ends in the pass in which it begins: nobody can act in between.
REACHABLE = tuple(stage for stage in BEFORE_CANARY if stage != "Verifying")


def linger(story: Story) -> None:
    """Time for what was done to reach every connection; the servers age them after 5 s."""
    time.sleep(8)


def check_weights(story: Story, number: int) -> None:
    """The share of the answers while each weight held, within 10 points of what was asked."""
    ground, name = story.ground, story.ground.name(number)
    held = {STEPS[i - 1]["setWeight"]: ground.held(number, i) for i in (1, 3)}

    def check(tally: dict[str, Any]) -> None:
        for asked, (since, until) in held.items():
            percent, n = share(tally, name, since, until)
            story.numbers[f"weight{asked}"] = {"percent": round(percent, 1), "answers": n}
            assert abs(percent - asked) <= POINTS, f"{percent:.1f}% of {n} at setWeight {asked}"

    story.after(check)


def record_last_answer(story: Story, number: int, verdict: float, *, bar: float | None) -> None:
    """Seconds from the verdict to the last answer of a release that lost its traffic."""
    name = story.ground.name(number)

    def check(tally: dict[str, Any]) -> None:
        last = tally["lastSeen"].get(name)
        assert last is not None, f"{name} never answered"
        story.numbers["verdictToLastAnswer"] = round(last - verdict, 2)
        assert bar is None or last - verdict < bar, f"{last - verdict:.1f} s to the last answer"

    story.after(check)


@scenario("promotion")
def promotion(story: Story) -> None:
    ground = story.ground
    number = ground.release_next()
    ground.until_serves(number)
    story.outcome, story.line = f"r{number} Serving", ground.message()
    linger(story)
    check_weights(story, number)


@scenario("rollback inside the window")
def rollback(story: Story) -> None:
    ground = story.ground
    before = ground.stable()
    story.load.until_seen(ground.name(before))
    kept = [s for s in ground.watch.all("er") if s.status.get("stage") == "Retained"]
    assert kept, "nothing is kept: promote first"
    number = max(int(seen.object["spec"]["number"]) for seen in kept)
    verdict = time.time()
    ground.world.annotate("rollback", f"r{number}")
    ground.until_stable(number)
    story.numbers["verdictToStable"] = round(time.time() - verdict, 2)
    story.outcome, story.line = f"r{number} Serving", ground.message()
    linger(story)
    record_last_answer(story, before, verdict, bar=ROLLBACK_SECONDS)


def aborted(story: Story, number: int, at: str) -> None:
    """Aborts a release where it is, and waits until it has ended and its traffic with it."""
    ground, verdict = story.ground, time.time()
    ground.world.annotate("abort", f"r{number}")
    ground.until_stage(number, "Superseded")
    assert ground.status(number)["outcome"] == "Aborted", ground.status(number)
    ground.until(lambda: ground.settled(), what="the abort", seconds=30)
    story.numbers[f"abort{at}"] = round(time.time() - verdict, 1)


@scenario("abort in the middle")
def abort_in_the_middle(story: Story) -> None:
    ground = story.ground
    number = ground.release_next()
    ground.until_step(number, 1)
    story.load.until_seen(ground.name(number))
    verdict = time.time()
    aborted(story, number, "")
    story.outcome, story.line = f"r{number} Superseded", ground.message()
    record_last_answer(story, number, verdict, bar=ROLLBACK_SECONDS)


@scenario("abort at every stage before the canary")
def abort_before(story: Story) -> None:
    ground = story.ground
    for stage in REACHABLE:
        number = ground.release_next()
        ground.until_stage(number, stage)
        aborted(story, number, stage)
    story.outcome, story.line = f"{len(REACHABLE)} of {len(REACHABLE)} Aborted", ground.message()


@scenario("abort at every step of the canary")
def abort_at_steps(story: Story) -> None:
    ground = story.ground
    for index in TAKEN:
        number = ground.release_next()
        ground.until_step(number, index)
        aborted(story, number, f"Step{index + 1}")
    serves = ground.stable()
    number = ground.release_next()
    ground.until_stage(number, "Promoting")
    verdict = time.time()
    ground.world.annotate("abort", f"r{number}")
    # Too late for an abort when the entry point has moved by then: that is a rollback.
    ground.until_stable(serves, seconds=120)
    story.numbers["abortPromoting"] = round(time.time() - verdict, 1)
    story.numbers["afterPromoting"] = ground.stage(number)
    story.outcome = f"{len(TAKEN)} of {len(TAKEN)} Aborted, then {ground.status(number)['outcome']}"
    story.line = ground.message()


@scenario("operator killed at every stage and step")
def operator_killed(story: Story) -> None:
    ground = story.ground
    number = ground.release_next()
    killed: set[tuple[str, int | None]] = set()

    def look() -> bool:
        stage = ground.stage(number)
        here = (stage, ground.step(number))
        assert stage != "Failed", ground.status(number)
        if stage and stage not in ENDED and here not in killed:
            kill_operator(ground)
            killed.add(here)
        return stage == "Serving"

    ground.until(look, what=f"r{number} Serving", seconds=600)
    ground.until_stable(number)
    steps = {step for stage, step in killed if stage == "Canary"}
    assert {"Importing", "Evaluating", "Indexing", "Warming", "Promoting"} <= {s for s, _ in killed}
    assert set(TAKEN) <= steps, f"killed at steps {steps}"
    attempts = ground.status(number)["attempts"]
    assert attempts["importing"] == attempts["evaluating"] == 1, attempts
    story.numbers["kills"] = len(killed)
    story.outcome, story.line = f"r{number} Serving after {len(killed)} kills", ground.message()
    linger(story)


def kill_operator(ground: Ground) -> None:
    """No grace: the process is gone in the middle of whatever it did."""
    selector = "app.kubernetes.io/component=operator"
    arguments = ("delete", "pod", "-n", "lockstep-system", "-l", selector)
    ground.world.kube.run(*arguments, "--grace-period=0", "--force", "--wait=false")


@scenario("spec changed at every stage and step")
def spec_changed(story: Story) -> None:
    """Each change makes the release before it Superseded, and is itself changed one stage later."""
    ground = story.ground
    moments = [*REACHABLE, *TAKEN, "Promoting"]
    replaced = []
    number = ground.release_next()
    for moment in moments:
        if isinstance(moment, int):
            ground.until_step(number, moment)
        else:
            ground.until_stage(number, moment)
        replaced.append(number)
        number = next_once_made(ground)
    ground.until_serves(number, seconds=300)
    ended = {n: ground.stage(n) for n in replaced[:-1]}
    assert set(ended.values()) <= {"Superseded", "Retired", ""}, ended
    # While the entry point moves a new spec waits: that release was promoted, or given up in time.
    story.numbers["whilePromoting"] = ground.stage(replaced[-1])
    story.outcome = f"r{number} Serving, {len(replaced)} replaced"
    story.line = ground.message()
    linger(story)


def next_once_made(ground: Ground) -> int:
    number = ground.release_next()
    made = ground.name(number)
    ground.until(lambda: ground.watch.now("er", made), what=f"{made} to be made", seconds=120)
    return number


@scenario("spec reverted in the middle is a rollback")
def reverted(story: Story) -> None:
    ground = story.ground
    serves = ground.stable()
    artifact = ground.artifact_of(serves)
    number = ground.release_next()
    ground.until_step(number, 1)
    story.load.until_seen(ground.name(number))
    verdict = time.time()
    ground.world.patch("em", {"artifact": artifact})
    ground.until_stage(number, "Superseded")
    ground.until_stable(serves)
    assert ground.newest() == number, "a revert makes no release"
    story.outcome, story.line = f"r{serves} Serving", ground.message()
    record_last_answer(story, number, verdict, bar=ROLLBACK_SECONDS)
