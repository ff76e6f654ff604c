"""Edges 9 and 10: builds that must not serve, and pods that come, or do not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


# -- edge 9: the builds


@pytest.mark.parametrize(
    ("changes", "reason", "told"),
    [
        ({"spaceID": "ffffffffffff"}, "SpaceMismatch", "answers would be nonsense"),
        ({"rows": 15699}, "RowsMissing", "holds 15699 of 15700 rows"),
        (
            {"recall": {"n": 1000, "mean": 0.93, "standardDeviation": 0.1}},
            "IndexRecallLow",
            "recall@10 0.930 < 0.950 FAIL",
        ),
        (
            {"recall": {"n": 100, "mean": 0.96, "standardDeviation": 0.1}},
            "IndexRecallLow",
            "recall@10 0.960 >= 0.950 not shown",
        ),
        ({"index": "other"}, "ResultMismatch", "reports index other"),
    ],
)
def test_edge_9_a_build_that_must_not_serve_fails(
    changes: dict[str, Any], reason: str, told: str
) -> None:
    world = worlds.healthy()
    world.build_changes = changes
    world.change_model("training.seed", 7).run()
    assert world.stage(2) == "Failed" and world.says("Ready") == ("False", reason)
    assert told in world.status["message"] and world.entry() == "glyphs-r1"
    if reason == "IndexRecallLow":
        assert "spec.objectives.recall.min" in world.status["message"]
    assert world.index_status()["phase"] == "Healthy", "r1 serves the recipe as it is"


def test_edge_9_a_build_without_facts_is_not_a_result() -> None:
    world = World().apply_model().apply_index().run_to("Indexing", 1)
    job = "glyphs-r1-build-glyphs-1"
    world.end_job(job, message=world.result(job, build=None))
    assert world.settle().says("Ready") == ("False", "InvalidResult")
    world = World().apply_model().apply_index().settle()
    job = "glyphs-r1-train-1"
    world.end_job(job, message=world.result(job, training=None))
    assert world.settle().says("Ready") == ("False", "InvalidResult")


def test_edge_9_a_flat_index_is_exact_and_needs_no_interval() -> None:
    world = World().apply_model().apply_index()
    world.change_index("index", {"type": "Flat"})
    world.change_index("objectives", {"recall": {"k": 10, "min": "1.0"}})
    world.build_changes = {"recall": {"n": 5, "mean": 1.0, "standardDeviation": 0.0}}
    assert world.run().stage(1) == "Serving"


def test_edge_9_one_bad_index_of_two_fails_the_release_and_ends_the_other_job() -> None:
    world = World().apply_model().apply_index().apply_index("second").run_to("Indexing", 1)
    assert len(world.jobs()) == 2
    world.end_job("glyphs-r1-build-glyphs-1", code=3)
    world.settle()
    assert world.stage(1) == "Failed" and world.jobs() == []
    # A retry keeps what is built, and gives the others new names.
    world.annotate("retry", "r1").settle()
    assert world.jobs() == ["glyphs-r1-build-glyphs-2", "glyphs-r1-build-second-2"]
    assert world.run().stage(1) == "Serving"


# -- edge 10: warm


def test_edge_10_the_entry_moves_only_when_all_replicas_of_the_pair_are_ready() -> None:
    world = worlds.healthy(serving={"replicas": 2, "minReadySeconds": 5})
    world.change_model("training.seed", 7).run_to("Warming", 2)
    world.ready("Deployment", "glyphs-r2-glyphs")
    world.ready("Deployment", "glyphs-r2-encoder", ready=1)
    world.settle()
    assert world.stage(2) == "Warming" and world.entry() == "glyphs-r1"
    assert "Deployment glyphs-r2-encoder has 1 of 2 pods ready" in world.status["message"]
    world.ready("Deployment", "glyphs-r2-encoder")
    world.set_status("Deployment", "glyphs-r2-encoder", {"availableReplicas": 0})
    assert world.settle().stage(2) == "Warming", "minReadySeconds"
    world.ready("Deployment", "glyphs-r2-encoder")
    world.set_status("Deployment", "glyphs-r2-encoder", {"observedGeneration": 0})
    assert world.settle().stage(2) == "Warming", "the status is of an older spec"
    world.ready("Deployment", "glyphs-r2-encoder")
    assert world.settle().stage(2) == "Serving"


def test_edge_10_the_progress_deadline_names_the_pod_and_why_it_waits() -> None:
    world = worlds.second("Warming")
    world.create(serving_pod(waiting={"reason": "ImagePullBackOff", "message": "no such tag"}))
    world.settle()
    assert world.says("Reconciling") == ("True", "ImagePullBackOff")
    assert world.look_again_after == 900
    world.pass_time(901).settle()
    assert world.stage(2) == "Failed" and world.entry() == "glyphs-r1"
    assert world.says("Ready") == ("False", "ProgressDeadlineExceeded")
    for part in ("pod glyphs-r2-encoder-abc", "encoder:1", "no such tag", "900 s"):
        assert part in world.status["message"]
    assert [key for key in world.workloads() if "r2" in key[1]] == []


@pytest.mark.parametrize("where", ["state", "lastState"])
def test_edge_10_a_server_that_says_it_cannot_work_fails_the_release_at_once(where: str) -> None:
    world = worlds.second("Warming")
    world.create(serving_pod(crash=result(9, "SelfCheckFailed", "golden vectors differ"), at=where))
    world.settle()
    assert world.stage(2) == "Failed" and world.says("Ready") == ("False", "SelfCheckFailed")
    assert world.record(2)["lastFailure"]["exitCode"] == 9
    assert "golden vectors differ" in world.status["message"]
    # A pod of the first try does not fail the second.
    world.pass_time(5).annotate("retry", "r2").run_to("Warming", 2)
    assert world.ready_all().run().entry() == "glyphs-r2"


@pytest.mark.parametrize("code", [70, 74, 75])
def test_edge_10_a_server_that_may_recover_is_left_to_the_deadline(code: int) -> None:
    world = worlds.second("Warming")
    world.create(serving_pod(crash=result(code, "Trouble", "the store is away")))
    assert world.settle().stage(2) == "Warming"


def result(code: int, reason: str, message: str, program: str = "ServeEncoder") -> str:
    import json

    return json.dumps(
        {
            "schema": "lockstep.dev/result/v1",
            "program": program,
            "exitCode": code,
            "reason": reason,
            "message": message,
        }
    )


def serving_pod(
    *, crash: str | None = None, at: str = "state", waiting: dict[str, str] | None = None
) -> dict[str, Any]:
    import json

    container: dict[str, Any] = {"name": "main", "image": "encoder:1", "ready": False}
    if waiting:
        container["state"] = {"waiting": waiting}
    if crash is not None:
        code = json.loads(crash)["exitCode"]
        container[at] = {"terminated": {"exitCode": code, "message": crash}}
    labels = {"lockstep.dev/release": "glyphs-r2", "lockstep.dev/component": "encoder"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "glyphs-r2-encoder-abc", "labels": labels},
        "status": {"phase": "Pending", "containerStatuses": [container]},
    }
