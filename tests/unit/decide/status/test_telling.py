"""What a person on call reads first: who is hurt, which pods and why, and what helps."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lockstep_operator.decide.snapshot.observed import Refusal
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

ASK = "kubectl annotate em/glyphs -n shop --overwrite lockstep.dev/"
DAMAGED = json.dumps(
    {
        "schema": "lockstep.dev/result/v1",
        "program": "ServeIndex",
        "exitCode": 6,
        "reason": "DigestMismatch",
        "message": "index.faiss is not what its manifest says.",
    }
)
CRASHES = (
    "crashes (CrashLoopBackOff), exit code 6 (DigestMismatch):"
    " index.faiss is not what its manifest says"
)


def pod(world: World, workload: str, end: str, status: dict[str, Any]) -> str:
    """A pod of a Deployment, with this status."""
    labels = world.objects["Deployment", workload]["spec"]["selector"]["matchLabels"]
    metadata = {"name": f"{workload}-{end}", "labels": dict(labels)}
    metadata["ownerReferences"] = worlds.made_by(f"{workload}-5d7f")
    world.create({"kind": "Pod", "metadata": metadata, "spec": {}})
    world.set_status("Pod", metadata["name"], status)
    return str(metadata["name"])


def crashing(text: str = DAMAGED, code: int = 6) -> dict[str, Any]:
    ended = {"exitCode": code, "reason": "Error", "message": text}
    waits = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}
    container = {"name": "main", "ready": False, "restartCount": 4}
    state = {"state": {"waiting": waits}, "lastState": {"terminated": ended}}
    return {"phase": "Running", "containerStatuses": [container | state]}


def down(world: World, release: str, what: str = "glyphs", *, ready: int = 0) -> World:
    """Pods of its index (or its encoder) crash."""
    pod(world, f"glyphs-{release}-{what}", "a", crashing())
    world.ready("Deployment", f"glyphs-{release}-{what}", ready=ready)
    return world.settle()


def of_three() -> World:
    """r1 is kept, r2 serves, r3 failed at its gate."""
    world = worlds.two()
    world.recall = 0.884
    return world.change_model("training.seed", 8).run()


def test_what_serves_is_down_and_an_old_release_failed() -> None:
    world = down(of_three(), "r2")
    message = world.status["message"]
    assert message.startswith(
        "r2 holds the entry point but cannot answer. Deployment glyphs-r2-glyphs has 0 of 1 pods"
        f" ready: pod glyphs-r2-glyphs-a {CRASHES}. r3 failed at Evaluating: GateFailed: "
    )
    assert message.endswith(f" Go back to r1: {ASK}rollback=r1")
    assert "retry" not in message
    assert (world.status["phase"], world.says("Ready")) == ("Degraded", ("False", "PodsNotReady"))
    assert world.says("Stalled") == ("True", "PodsNotReady")
    serving = world.condition("Serving")
    assert serving["status"] == "False" and CRASHES in serving["message"]
    assert CRASHES in world.index_status()["message"]
    assert CRASHES in world.record(2)["message"]


def test_the_rollback_that_is_offered_helps() -> None:
    world = down(of_three(), "r2")
    world.annotate("rollback", "r1").run()
    assert world.entry() == "glyphs-r1"
    assert world.says("Stalled") == ("True", "RolledBack")
    assert world.status["message"].startswith(
        "r2 was rolled back. Before that r3, which the spec asks for, had failed at Evaluating:"
        " GateFailed. r1 serves all requests. Change `spec.training`"
    )
    assert f"Go forward again: {ASK}rollback=r2; Or mend the cause" in world.status["message"]


def test_where_no_kept_release_is_whole_the_log_is_named() -> None:
    world = worlds.two()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    message = down(world, "r2").status["message"]
    assert message.endswith(
        f"{CRASHES}. No other release is kept whole to go back to. See why: kubectl logs"
        " glyphs-r2-glyphs-a -n shop -c main --previous"
    )


def test_a_pod_that_never_ran_is_described() -> None:
    world = worlds.healthy()
    waits = {"name": "main", "image": "encoder:1", "state": {"waiting": {}}}
    waits["state"] = {"waiting": {"reason": "ErrImagePull"}}
    name = pod(world, "glyphs-r1-encoder", "a", {"phase": "Pending", "containerStatuses": [waits]})
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    message = world.settle().status["message"]
    assert f"pod {name} cannot pull image encoder:1 (ImagePullBackOff)" in message
    assert message.endswith(f"See why: kubectl describe pod/{name} -n shop")


def test_pods_that_only_take_their_time_are_named_all_the_same() -> None:
    world = worlds.healthy()
    name = pod(world, "glyphs-r1-encoder", "a", {"phase": "Running"})
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    message = world.settle().status["message"]
    assert f"has 0 of 1 pods ready. Not ready: {name}. No other" in message
    assert message.endswith(f"See why: kubectl logs {name} -n shop -c main")


@pytest.mark.parametrize("what", ["encoder", "glyphs"])
def test_one_of_two_pods_crashes_while_requests_are_answered(what: str) -> None:
    world = worlds.healthy(serving={"replicas": 2}).change_index("replicas", 2).run()
    told = down(world, "r1", what, ready=1).condition("Serving")
    assert (told["status"], told["reason"]) == ("True", "Serving")
    assert told["message"] == (
        f"r1 serves all requests. Of r1: Deployment glyphs-r1-{what} has 1 of 2 pods ready: pod"
        f" glyphs-r1-{what}-a {CRASHES}."
    )
    assert world.status["message"].startswith("r1 serves all requests. Deployment glyphs-r1-")
    assert CRASHES in world.status["message"] and world.status["phase"] == "Degraded"
    world.change_model("training.seed", 7).settle()
    assert world.status["message"].startswith("r2 trains, attempt 1 of 3. r1 serves all requests.")
    assert f"Of r1: Deployment glyphs-r1-{what} has 1 of 2" in world.status["message"]


def test_a_crash_that_goes_on_writes_nothing() -> None:
    world = down(worlds.healthy(), "r1")
    writes = len(world.writes)
    again = crashing()
    again["containerStatuses"][0] |= {"restartCount": 5, "state": {"running": {}}}
    world.set_status("Pod", "glyphs-r1-glyphs-a", again)
    world.settle()
    assert len(world.writes) == writes


def test_many_pods_are_counted() -> None:
    world = worlds.healthy()
    for end in "abc":
        pod(world, "glyphs-r1-glyphs", end, crashing("", 1))
    message = down_only(world).status["message"]
    one = "crashes (CrashLoopBackOff), exit code 1"
    assert f"pod glyphs-r1-glyphs-a {one}, pod glyphs-r1-glyphs-b {one} and 1 more." in message


def down_only(world: World) -> World:
    world.ready("Deployment", "glyphs-r1-glyphs", ready=0)
    return world.settle()


def test_a_pod_that_ended_for_good_is_not_told() -> None:
    world = worlds.healthy()
    pod(world, "glyphs-r1-glyphs", "a", {"phase": "Failed", "reason": "Evicted"})
    assert "glyphs-r1-glyphs-a" not in down_only(world).status["message"]


# Situations, each with words of its message in the order in which they must stand.


def down_while_one_trains() -> World:
    return down(worlds.second("Training"), "r1")


def down_while_one_is_paused() -> World:
    return down(worlds.second("Warming").annotate("pause", "r2").settle(), "r1")


def down_in_a_canary() -> World:
    return down(worlds.canary([{"setWeight": 50}, {"pause": {}}], at=1), "r1")


def down_and_aborted() -> World:
    return down(worlds.second("Training").annotate("abort", "r2").run(), "r1")


def down_and_rolled_back() -> World:
    return down(worlds.two().annotate("rollback", "r1").run(), "r1")


def down_and_held() -> World:
    world = worlds.healthy().change_model("rollout.paused", True).settle()
    return down(world.change_model("training.seed", 7).settle(), "r1")


def down_and_no_spec() -> World:
    return down(worlds.healthy().change_index("source.uri", "s3://else/x.npz").settle(), "r1")


def down_and_refused() -> World:
    world = down(worlds.second("Training"), "r1")
    world.refusals = (Refusal("EmbeddingRelease", "glyphs-r2", "denied", "Forbidden"),)
    world.edit("EmbeddingRelease", "glyphs-r2", lambda raw: raw["status"].update(message="old"))
    world.step()
    return world


def failed_and_stays() -> World:
    world = worlds.promoted()
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    return worlds.measured(world, failed=300)


def failed_and_another_comes() -> World:
    return failed_and_stays().change_model("training.seed", 8).settle()


def failed_and_down() -> World:
    return down(failed_and_stays(), "r2")


HURT = "r1 holds the entry point but cannot answer. Deployment glyphs-r1-glyphs has 0 of 1 pods"
LOOK = "No other release is kept whole to go back to."
FAILED = "r2 failed after its promotion: errors: "
ORDER: dict[str, tuple[Callable[[], World], list[str]]] = {
    "trains": (down_while_one_trains, [HURT, CRASHES, "r2 trains", LOOK, "See why: ", "Stop: "]),
    "paused": (down_while_one_is_paused, [HURT, "r2 is paused by", LOOK, "See why: ", "Stop: "]),
    "canary": (
        down_in_a_canary,
        ["r1 cannot answer", CRASHES, "r2 ", LOOK, "See why: "],
    ),
    "aborted": (down_and_aborted, [HURT, CRASHES, "r2, which the spec", LOOK, "Change ", "See"]),
    "rolled back": (
        down_and_rolled_back,
        [HURT, CRASHES, "r2, which the spec", f"Go back to r2: {ASK}"],
    ),
    "held": (down_and_held, [HURT, "A change waits", LOOK, "See why: ", "Start: "]),
    "no spec": (down_and_no_spec, [HURT, "must begin with file://", LOOK, "See why: "]),
    "refused": (down_and_refused, [HURT, "The API server refused", "It is tried again.", LOOK]),
    "failed, stays": (
        failed_and_stays,
        [FAILED, "It stays: ", "r2 serves all", "Change ", "Settl"],
    ),
    "failed, another comes": (
        failed_and_another_comes,
        [FAILED, "r3 trains", "r2 serves all requests.", "Stop: "],
    ),
    "failed, down": (failed_and_down, ["r2 holds the entry point but", CRASHES, FAILED, LOOK]),
    "nobody is hurt": (
        of_three,
        ["r3 failed at Evaluating", "r2 serves all", "Change ", "Or mend"],
    ),
}


@pytest.mark.parametrize("name", ORDER)
def test_the_order_of_a_message(name: str) -> None:
    """Who is hurt, what is being done, history, advice, commands."""
    make, words = ORDER[name]
    message = make().status["message"]
    places = [message.find(word) for word in words]
    assert places[0] == 0 and -1 not in places, message
    assert places == sorted(places), message


CALM = ("nobody is hurt", "failed, another comes")


@pytest.mark.parametrize("name", [name for name in ORDER if name not in CALM])
def test_what_hurts_users_is_degraded_and_offers_no_retry_of_what_failed(name: str) -> None:
    status = ORDER[name][0]().status
    assert status["phase"] == "Degraded"
    assert "try again: " not in status["message"]


def test_a_candidate_that_is_down_with_its_share_hurts_some() -> None:
    world = worlds.canary([{"setWeight": 50}, {"pause": {}}], at=1)
    pod(world, "glyphs-r2-encoder", "a", crashing("boom", 1))
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    world.step()
    assert world.status["message"].endswith("r2 cannot answer: what comes is answered by r1.")
    message = world.settle().status["message"]
    assert "exit code 1: boom). r1 serves all requests." in message
