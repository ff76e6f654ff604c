"""Scenarios of drift watching itself: killed, slow, cut off, begun again; serving goes on."""

from __future__ import annotations

import signal
import time

from tests.e2e.support.kube import Object, wait_until
from tests.reliability.canary import kill_operator
from tests.reliability.drift import negatives, usual
from tests.reliability.scenario import Story, scenario
from tests.reliability.watched import (
    WINDOW_SECONDS,
    bounded,
    dropped,
    encoder_pods,
    evidence,
    forget,
    in_monitor,
    learned,
    restarts,
    signal_worker,
    status,
    stored,
    until_state,
    until_window,
    windows_of,
)

STOPPED_SECONDS = 25
SOCKET = "/run/lockstep/monitor.sock"
# Of all traffic is of another kind: evidence grows from window to window.
OTHERS = 0.3


def goes_on(story: Story, windows: int) -> None:
    """So many more windows are judged, by the same baseline, and counted on from what is there."""
    before = evidence(story)
    for _ in range(windows):
        until_window(story, (stored(story) or {})["window"])
    after = evidence(story)
    assert after["baselineDigest"] == before["baselineDigest"], "another baseline was learned"
    assert after["windows"] >= before["windows"] + windows - 1, (
        before["windows"],
        after["windows"],
    )
    story.numbers["evidenceWindows"] = [before["windows"], after["windows"]]


def answers_again(story: Story, pod: str, begun: float) -> None:
    """Waits until the monitor of the pod has a window that began after `begun`."""
    first = int(begun) // WINDOW_SECONDS + 1

    def look() -> bool:
        try:
            return any(window >= first for window in windows_of(story, pod))
        except AssertionError:
            return False

    wait_until(look, what=f"a window after {first} of {pod}", seconds=60)


@scenario("drift: monitor killed", on="watched")
def killed(story: Story) -> None:
    learned(story)
    pod, before = encoder_pods(story)[0], restarts(story)
    kept = windows_of(story, pod)
    begun = time.time()
    signal_worker(story, pod, signal.SIGKILL)
    answers_again(story, pod, begun)
    windows = windows_of(story, pod)
    story.numbers["secondsToNextWindow"] = round(time.time() - begun, 1)
    of_then = int(begun) // WINDOW_SECONDS
    lost = set(kept) - set(windows)
    assert not lost - {min(kept)}, f"closed windows are lost: {sorted(lost)}"
    missing = set(range(max(kept) + 1, max(windows) + 1)) - set(windows) - {of_then}
    assert not missing, f"windows {sorted(missing)} are missing beside the open one, {of_then}"
    goes_on(story, 2)
    story.numbers["restarts"] = restarts(story) - before
    assert restarts(story) == before, "a container began again"
    bounded(story)
    story.outcome, story.line = "at most the open window lost", status(story)["message"]


@scenario("drift: monitor stopped for 25 seconds", on="watched")
def slow(story: Story) -> None:
    learned(story)
    pod = encoder_pods(story)[0]
    before, at = dropped(story, pod), stored(story) or {}
    begun = time.time()
    signal_worker(story, pod, signal.SIGSTOP)
    try:
        time.sleep(STOPPED_SECONDS)
        told = dropped(story, pod)
        judged = (stored(story) or {})["window"] - at["window"]
    finally:
        signal_worker(story, pod, signal.SIGCONT)
    story.numbers["dropped"] = {k: told[k] - before.get(k, 0) for k in told}
    story.numbers["windowsJudgedMeanwhile"] = judged
    assert story.numbers["dropped"].get("Full", 0) > 0, told
    assert judged >= 1, "the other pod was not judged meanwhile"
    answers_again(story, pod, begun + STOPPED_SECONDS)
    goes_on(story, 2)
    after = dropped(story, pod)
    story.numbers["droppedAfterwards"] = after["Full"] - told["Full"]
    bounded(story)
    until_state(story, "Quiet")
    story.outcome = "dropped and counted, then watched as before"


@scenario("drift: the monitor's socket is gone", on="watched")
def socket_gone(story: Story) -> None:
    learned(story)
    pod, begun = encoder_pods(story)[0], time.time()
    before = dropped(story, pod)
    inode = in_monitor(
        story, pod, f"import os; print(os.stat('{SOCKET}').st_ino); os.unlink('{SOCKET}')"
    )
    look = f"import os; print(os.stat('{SOCKET}').st_ino if os.path.exists('{SOCKET}') else 0)"
    wait_until(
        lambda: in_monitor(story, pod, look).strip() not in ("0", inode.strip()),
        what="another socket",
        seconds=30,
    )
    story.numbers["secondsToAnotherSocket"] = round(time.time() - begun, 1)
    answers_again(story, pod, begun)
    goes_on(story, 2)
    told = dropped(story, pod)
    story.numbers["dropped"] = {k: told[k] - before.get(k, 0) for k in told}
    bounded(story)
    story.outcome, story.line = "bound again", status(story)["message"]


@scenario("drift: operator killed while evidence grows", on="watched")
def operator_killed(story: Story) -> None:
    learned(story)
    begun = evidence(story)
    drawings = story.ground.drawings
    story.load.draw_from((0, drawings, 1 - OTHERS), negatives(story, OTHERS))

    def grows() -> bool:
        return bool(evidence(story)["logK"] > begun["logK"] + 1)

    wait_until(grows, what="evidence to grow", seconds=120)
    before = evidence(story)
    kill_operator(story.ground)
    at = (stored(story) or {})["window"]
    # Another one is elected, and asks for the windows of meanwhile.
    until_window(story, at, seconds=120)
    after = evidence(story)
    assert after["baselineDigest"] == before["baselineDigest"], "another baseline was learned"
    assert after["windows"] > before["windows"], (before["windows"], after["windows"])
    story.numbers["windows"] = [begun["windows"], before["windows"], after["windows"]]
    story.numbers["evidence"] = [
        round(each["logK"] / 2.302585, 2) for each in (begun, before, after)
    ]
    shown = until_state(story, "Drifting", "Quiet")
    until_window(story, (stored(story) or {})["window"])
    assert evidence(story)["logK"] > before["logK"], story.numbers
    story.load.draw_from(usual(story))
    story.outcome, story.line = "goes on from what was stored", shown["message"]
    # The next scenario learns anew: this one's evidence would take long to be lost.
    forget(story, "traffic")


def everything(story: Story) -> Object:
    """What a release is made of, by its uid: the spec of each."""
    world, found = story.ground.world, {}
    for kind in ("embeddingrelease", "deployment", "service", "pod"):
        for each in world.kube.list(world.namespace, kind):
            found[each["metadata"]["uid"]] = each.get("spec")
    return found


@scenario("drift: policy deleted", on="watched")
def deleted(story: Story) -> None:
    learned(story)
    world = story.ground.world
    before = everything(story)
    forget(story, "traffic")
    begun = time.time()
    wait_until(
        lambda: world.kube.get(world.namespace, "configmap", "traffic-drift") is None,
        what="the ConfigMap to go",
        seconds=60,
    )
    story.numbers["secondsToGone"] = round(time.time() - begun, 1)
    time.sleep(2 * WINDOW_SECONDS)
    assert world.kube.get(world.namespace, "configmap", "traffic-drift") is None, "it came back"
    assert everything(story) == before, "something else changed"
    story.outcome, story.line = "its ConfigMap is gone, nothing else", story.ground.message()
