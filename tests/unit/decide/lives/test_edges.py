"""One test per edge of the state machine, by its number in the table of edges."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


def failed_second() -> World:
    """r1 serves, r2 failed in training for good."""
    world = worlds.healthy()
    world.change_model("training.budget.maxSteps", 500).settle()
    world.end_job("glyphs-r2-train-1", code=3)
    return world.settle()


# -- edge 0: the first release


def test_edge_0_first_release_passes_offline_gates_and_the_entry_appears_last() -> None:
    world = World().apply_model().apply_index().run_to("Warming", 1)
    assert world.entry() is None and world.says("Serving") == ("False", "NoRelease")
    assert world.says("GatesPassed") == ("True", "GatesPassed")
    world.run()
    assert world.stage(1) == "Serving" and world.entry() == "glyphs-r1"
    assert world.status["phase"] == "Healthy" and world.says("Ready") == ("True", "Healthy")
    assert world.record(1)["outcome"] == "Promoted"
    assert world.release(1)["spec"]["cause"] == "First"


def test_edge_0_waits_as_pending_until_an_index_exists_in_either_order() -> None:
    world = World().apply_model().settle()
    assert world.status["phase"] == "Pending" and world.says("Ready") == ("False", "NoIndex")
    assert "spec.modelRef.name: glyphs" in world.status["message"]
    assert not world.has_release(1)
    assert world.apply_index().run().stage(1) == "Serving"

    world = World().apply_index().settle()
    assert world.index_status()["conditions"][0]["reason"] == "ModelNotFound"
    assert world.apply_model().run().stage(1) == "Serving"


def test_edge_0_four_writes_from_apply_to_the_training_job() -> None:
    world = World().apply_model().apply_index().settle()
    assert [w for w in world.writes if "VectorIndex" not in w] == [
        "POST EmbeddingRelease glyphs-r1",
        "STATUS EmbeddingRelease glyphs-r1",
        "POST Job glyphs-r1-train-1",
        "STATUS EmbeddingModel glyphs",
    ]
    world.start_pod("glyphs-r1-train-1")
    assert len(world.settle().writes) == 5


def test_a_model_without_indexes_is_released_alone() -> None:
    world = World().apply_model(indexing="None").run()
    assert world.stage(1) == "Serving" and world.record(1).get("builds") is None
    assert world.condition("IndexFresh") is None
    world.apply_index().settle()
    assert "spec.indexing: None" in world.index_status()["message"]
    world.change_model("indexing", "Required").run()
    assert (
        world.stage(2) == "Serving" and world.release(2)["spec"]["reuse"]["release"] == "glyphs-r1"
    )


# -- edges 1, 2, 2b: what a change of the spec does


def test_edge_1_a_change_of_the_space_trains_beside_what_serves() -> None:
    world = worlds.healthy().change_model("training.seed", 7).settle()
    assert world.stage(2) == "Training" and world.entry() == "glyphs-r1"
    assert world.status["phase"] == "Progressing" and world.says("Serving") == ("True", "Serving")
    assert world.says("Ready") == ("False", "Training")
    world.run()
    assert world.entry() == "glyphs-r2" and world.stage(1) == "Retained"
    assert world.release(2)["spec"]["cause"] == "ModelChanged"
    assert world.status["stable"]["release"] == "glyphs-r2"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.maxAttempts", 7),
        ("training.activeDeadlineSeconds", 60),
        ("training.template", {"resources": {"requests": {"cpu": "2"}}}),
        ("rollout.gates", []),
        ("rollout.progressDeadlineSeconds", 60),
        ("artifacts.secretRef", None),
    ],
)
def test_edge_2_policy_makes_no_release(path: str, value: object) -> None:
    world = worlds.healthy().change_model(path, value).run()
    assert not world.has_release(2) and world.status["phase"] == "Healthy"


def test_edge_2_serving_fields_roll_in_place_on_stable_retained_and_candidate() -> None:
    world = worlds.healthy().change_model("training.seed", 7).run()
    world.change_model("training.seed", 8).run_to("Warming", 3)
    world.change_model("serving.replicas", 4).change_index("replicas", 3).settle()
    for kind, name in world.workloads():
        wanted = 4 if name.endswith("-encoder") else 3
        assert world.objects[kind, name]["spec"]["replicas"] == wanted
    assert len(world.workloads()) == 6 and not world.has_release(4)


def test_edge_2_a_roll_in_place_is_told_and_ends_healthy() -> None:
    world = worlds.healthy().change_model("serving.replicas", 4).settle()
    assert world.status["phase"] == "Progressing"
    assert world.says("Reconciling") == ("True", "RollingInPlace")
    assert world.says("Serving") == ("True", "Serving")
    world.ready_all().settle()
    assert world.status["phase"] == "Healthy" and world.condition("Reconciling") is None
    # A field that leaves the template leaves the pods.
    world.change_model("serving.template", {"nodeSelector": {"disk": "fast"}}).run()
    world.change_model("serving.template", {}).settle()
    pod = world.objects["Deployment", "glyphs-r1-encoder"]["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("index", {"type": "Flat"}),
        ("source.uri", "file:///artifacts/datasets/other.npz"),
        ("objectives", {"recall": {"k": 10, "min": "0.90"}}),
    ],
)
def test_edge_2b_an_index_change_starts_at_indexing_with_the_same_model(
    path: str, value: object
) -> None:
    world = worlds.healthy().change_index(path, value).settle()
    assert world.stage(2) == "Indexing" and world.jobs() == ["glyphs-r2-build-glyphs-1"]
    assert world.says("IndexFresh") == ("False", "IndexChanged")
    assert world.release(2)["spec"]["cause"] == "IndexChanged"
    world.run()
    assert world.entry() == "glyphs-r2" and world.says("IndexFresh") == ("True", "UpToDate")
    assert world.record(1)["training"] == world.record(2)["training"]
    assert world.status["recall"] == "0.990", "the gates of the model are still shown"


def test_edge_2b_while_the_same_space_trains_the_indexes_wait_for_the_model() -> None:
    world = World().apply_model().apply_index().settle()
    world.apply_index("second").settle()
    assert world.stage(1) == "Training" and not world.has_release(2)
    assert "wait for the model of r1" in world.status["message"]
    world.end_jobs().settle()
    assert world.stage(1) == "Evaluating"
    world.end_jobs().settle()
    assert world.stage(1) == "Superseded" and world.stage(2) == "Indexing"
    assert not any("r1-build" in write for write in world.writes)
    assert world.release(2)["spec"]["reuse"]["release"] == "glyphs-r1"
    world.run()
    assert [build["index"] for build in world.record(2)["builds"]] == ["glyphs", "second"]


def test_edge_2_an_index_template_that_does_not_start_leaves_the_server_that_answers() -> None:
    world = worlds.healthy().change_index("template", {"image": "none:1"}).settle()
    status = {
        "observedGeneration": world.objects["Deployment", "glyphs-r1-glyphs"]["metadata"][
            "generation"
        ],
        "replicas": 2,
        "updatedReplicas": 1,
        "readyReplicas": 1,
    }
    world.set_status("Deployment", "glyphs-r1-glyphs", status)
    world.settle()
    assert world.says("Serving") == ("True", "Serving")
    assert world.says("Reconciling") == ("True", "RollingInPlace")
    told = "Deployment glyphs-r1-glyphs keeps 1 of the pods of before its last change"
    assert told in world.status["message"] and told in world.index_status()["message"]
    world.ready_all().settle()
    assert world.status["phase"] == "Healthy"


def test_a_deleted_index_in_use_leaves_the_release_whole() -> None:
    world = World().apply_model().apply_index().apply_index("second", replicas=3).run()
    world.remove("VectorIndex", "second")
    world.run()
    assert not world.has_release(2) and world.status["phase"] == "Healthy"
    assert world.says("IndexFresh") == ("False", "IndexDeleted")
    assert "second, whose VectorIndex was deleted" in world.status["message"]
    assert world.objects["Deployment", "glyphs-r1-second"]["spec"]["replicas"] == 3
    world.remove("Deployment", "glyphs-r1-second")
    world.run()
    assert ("Deployment", "glyphs-r1-second") in world.objects
    world.remove("VectorIndex", "glyphs")
    world.run()
    assert world.status["phase"] == "Healthy" and world.entry() == "glyphs-r1"
    # The next change of the model takes what is live then.
    world.apply_index().change_model("training.seed", 3).run()
    assert [i["name"] for i in world.release(2)["spec"]["indexes"]] == ["glyphs"]


# -- edge 3: a bad spec


@pytest.mark.parametrize("stage", ["Training", "Warming"])
def test_edge_3_an_invalid_spec_keeps_stage_and_traffic(stage: str) -> None:
    world = worlds.healthy().change_model("training.seed", 7).run_to(stage, 2)
    world.change_model("training.budget.maxSteps", -1).settle()
    assert world.says("Ready") == ("False", "InvalidSpec")
    assert world.says("Stalled") == ("True", "InvalidSpec")
    assert world.says("Serving") == ("True", "Serving")
    assert "`spec.training.budget.maxSteps` (-1)" in world.status["message"]
    assert world.stage(2) == stage and world.entry() == "glyphs-r1"
    world.change_model("training.budget.maxSteps", 400).run()
    assert world.stage(2) == "Serving" and world.condition("Stalled") is None


@pytest.mark.parametrize(
    ("store", "uri", "told"),
    [
        ("file:///artifacts", "s3://bucket/x.npz", "must begin with file://"),
        (
            "file:///artifacts",
            "file:///etc/x.npz",
            "must lie under the model's `spec.artifacts.uri`",
        ),
        ("file:///artifacts", "file:///artifacts/../etc/x.npz", "must lie under"),
        ("s3://bucket/models", "s3://other/x.npz", "must lie in bucket, as `spec.artifacts.uri`"),
    ],
)
def test_edge_3_data_that_pods_cannot_reach_is_named(store: str, uri: str, told: str) -> None:
    artifacts = {"uri": store} | ({"claimName": "c"} if store.startswith("file") else {})
    good = "file:///artifacts/x.npz" if store.startswith("file") else "s3://bucket/x.npz"
    world = World().apply_model(artifacts=artifacts).apply_index()
    world.change_index("source.uri", good).change_model("training.data.uri", uri).settle()
    assert world.says("Ready") == ("False", "InvalidSpec") and told in world.status["message"]
    assert not world.has_release(1)
    world.change_model("training.data.uri", good).change_index("source.uri", uri).settle()
    assert world.says("Ready") == ("False", "InvalidIndex") and told in world.status["message"]
    assert world.index_status()["phase"] == "Degraded"


def test_edge_3_an_index_that_cannot_be_read_stops_nothing() -> None:
    world = worlds.healthy()
    world.change_index("replicas", "many").settle()
    assert world.says("Ready") == ("False", "InvalidIndex")
    assert world.says("Serving") == ("True", "Serving")
    assert world.says("IndexFresh") == ("False", "InvalidIndex")
    status = world.index_status()
    assert status["phase"] == "Degraded" and "`spec.replicas` ('many')" in status["message"]
    assert status["serving"]["release"] == "glyphs-r1"
    assert world.change_index("replicas", 2).run().status["phase"] == "Healthy"


def test_edge_3_a_release_of_another_version_is_named_and_nothing_is_done() -> None:
    world = worlds.healthy()
    world.edit("EmbeddingRelease", "glyphs-r1", lambda raw: raw["spec"].update(novel=1))
    world.settle()
    assert world.says("Ready") == ("False", "InvalidRelease")
    assert "glyphs-r1" in world.status["message"] and "novel" in world.status["message"]
    assert world.entry() == "glyphs-r1"


# -- edges 4 to 6: Jobs


def test_edge_4_complete_jobs_move_the_release_on() -> None:
    world = World().apply_model().apply_index().settle()
    seen = [world.stage(1)]
    for _ in range(3):
        seen.append(world.end_jobs().settle().stage(1))
    assert seen == ["Training", "Evaluating", "Indexing", "Warming"]
    assert world.record(1)["training"]["spaceID"] == world.record(1)["builds"][0]["spaceID"]


@pytest.mark.parametrize("code", [70, 74, 137, 143])
def test_edge_5_a_retryable_failure_tries_again_later_under_another_name(code: int) -> None:
    world = World().apply_model().apply_index().settle()
    world.end_job("glyphs-r1-train-1", code=code, message=None if code < 100 else "")
    world.settle()
    record = world.record(1)
    assert record["stage"] == "Training" and record["attempts"]["failures"] == {"train": 1}
    assert record["lastFailure"]["exitCode"] == code and record["attempts"]["training"] == 2
    assert 26 <= world.look_again_after <= 34
    assert world.jobs() == [] and "attempt 2 starts at" in world.status["message"]
    world.pass_time(25).settle()
    assert world.jobs() == []
    world.pass_time(10).settle()
    assert world.jobs() == ["glyphs-r1-train-2"] and "attempt 2 of 3" in world.status["message"]
    assert "nextRetryAt" not in world.record(1)
    assert world.run().stage(1) == "Serving" and "lastFailure" not in world.record(1)


def test_edge_5_backoff_doubles_to_half_an_hour_with_a_jitter_that_repeats() -> None:
    from lockstep_operator.decide.jobs.attempts import backoff_seconds

    waits = [backoff_seconds("uid", "train", attempt) for attempt in range(1, 12)]
    for attempt, wait in enumerate(waits, start=1):
        assert 0.9 * min(30 * 2 ** (attempt - 1), 1800) <= wait <= 1800
    assert backoff_seconds("uid", "train", 1) == waits[0] != backoff_seconds("other", "train", 1)


@pytest.mark.parametrize("how", ["exit 75", "DisruptionTarget", "pod gone"])
def test_edge_5_disruptions_do_not_count(how: str) -> None:
    world = World().apply_model().apply_index().settle()
    for attempt in range(1, 6):
        job = f"glyphs-r1-train-{attempt}"
        if how == "exit 75":
            world.end_job(job, code=75)
        elif how == "DisruptionTarget":
            target = {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}
            world.end_job(job, code=143, message="", pod_status=target)
        else:
            world.end_job(job, code=137, message="")
            world.remove("Pod", world.pod_of(job))
            world.settle()
            assert world.record(1)["attempts"]["disruptions"] == attempt - 1, "grace for the pod"
            world.pass_time(20)
        world.settle()
        assert world.record(1)["attempts"]["disruptions"] == attempt
        assert world.record(1)["attempts"]["failures"] == {}
        world.pass_time(2000).settle()
    assert world.jobs() == ["glyphs-r1-train-6"] and "attempt 1 of 3" in world.status["message"]


def test_edge_5_an_eviction_without_a_code_is_retried_and_counted() -> None:
    world = World().apply_model().apply_index().settle()
    pod = world.start_pod("glyphs-r1-train-1")
    world.set_status("Pod", pod, {"phase": "Failed", "reason": "Evicted"})
    failed = {"type": "Failed", "status": "True", "lastTransitionTime": world.text()}
    world.set_status("Job", "glyphs-r1-train-1", {"conditions": [failed]})
    world.settle()
    assert world.record(1)["attempts"]["failures"] == {"train": 1}
    assert "Evicted" in world.status["message"]


def test_edge_6_attempts_are_exhausted() -> None:
    world = worlds.healthy().change_model("training.seed", 7).settle()
    for attempt in (1, 2, 3):
        assert world.stage(2) == "Training"
        world.end_job(f"glyphs-r2-train-{attempt}", code=70)
        world.settle()
        world.pass_time(2000).settle()
    assert world.stage(2) == "Failed" and world.record(2)["failedStage"] == "Training"
    assert world.status["phase"] == "Degraded" and world.says("Ready") == ("False", "Internal")
    assert world.says("Stalled") == ("True", "Internal")
    assert world.says("Serving") == ("True", "Serving") and world.entry() == "glyphs-r1"
    assert "(attempt 3 of 3)" in world.status["message"]
    assert world.status["history"][0]["outcome"] == "Failed"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(2, "BadConfig"), (3, "BadDataset"), (5, "Diverged"), (6, "DigestMismatch")],
)
def test_edge_6_a_code_that_is_not_retryable_fails_at_once(code: int, reason: str) -> None:
    world = World().apply_model().apply_index().settle()
    world.end_job("glyphs-r1-train-1", code=code)
    world.settle()
    failure = world.record(1)["lastFailure"]
    assert (failure["reason"], failure["exitCode"]) == (reason, code) and failure["pod"]
    assert failure["stage"] == "Training" and failure["message"] == f"ended with {reason}"
    assert world.status["phase"] == "Degraded"


@pytest.mark.parametrize(
    ("ending", "reason", "told"),
    [
        ({"code": 1, "message": "Traceback: no such thing"}, "ProgramFailed", "no such thing"),
        ({"code": 8, "message": ""}, "OutOfMemory", "no message"),
        ({"code": 0, "message": "hello"}, "InvalidResult", "hello"),
        ({"code": 0, "message": ""}, "InvalidResult", "it is empty"),
    ],
)
def test_edge_6_endings_without_a_result(ending: dict[str, Any], reason: str, told: str) -> None:
    world = World().apply_model().apply_index().settle()
    world.end_job("glyphs-r1-train-1", **ending)
    world.settle()
    assert world.record(1)["lastFailure"]["reason"] == reason
    assert told in world.status["message"]


def test_edge_6_the_kernel_ends_a_container_at_its_limit() -> None:
    world = World().apply_model().apply_index().settle()
    terminated = {"exitCode": 137, "reason": "OOMKilled", "message": ""}
    containers = [{"name": "main", "state": {"terminated": terminated}}]
    world.end_job(
        "glyphs-r1-train-1", code=137, message="", pod_status={"containerStatuses": containers}
    )
    world.settle()
    assert world.says("Ready") == ("False", "OutOfMemory")
    assert "`spec.training.template`.resources.limits.memory" in world.status["message"]


def test_edge_6_the_deadline_of_a_job_is_final() -> None:
    world = World().apply_model().apply_index().settle()
    late = {"type": "Failed", "reason": "DeadlineExceeded"}
    world.end_job("glyphs-r1-train-1", code=143, message="", condition=late)
    world.settle()
    assert world.says("Ready") == ("False", "DeadlineExceeded")
    assert "`spec.training.activeDeadlineSeconds`" in world.status["message"]


def test_edge_6_the_job_controller_remembers_the_code_of_a_pod_that_is_gone() -> None:
    world = World().apply_model().apply_index().settle()
    words = "Container main for pod shop/x failed with exit code 3 matching FailJob rule at index 2"
    world.end_job("glyphs-r1-train-1", code=3, condition={"type": "Failed", "message": words})
    world.remove("Pod", world.pod_of("glyphs-r1-train-1"))
    world.settle().pass_time(20).settle()
    assert world.says("Ready") == ("False", "BadDataset")


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        (
            {
                "containerStatuses": [
                    {
                        "name": "main",
                        "image": "trainer:9",
                        "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
                    }
                ]
            },
            "ImagePullBackOff",
            "cannot pull image trainer:9 (ImagePullBackOff) after 900 s: not found; set"
            " `spec.training.template`.image",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "main",
                        "image": "t",
                        "state": {
                            "waiting": {
                                "reason": "CreateContainerConfigError",
                                "message": "secret missing",
                            }
                        },
                    }
                ]
            },
            "CreateContainerConfigError",
            "secret missing",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes",
                    }
                ]
            },
            "Unschedulable",
            "fits no node (Unschedulable) after 900 s: 0/1 nodes; lower",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": '0/1 nodes are available: persistentvolumeclaim "none" not found'
                        ". preemption: 0/1 nodes are available: 1 Preemption is not helpful.",
                    }
                ]
            },
            "Unschedulable",
            "there is no PersistentVolumeClaim none (Unschedulable) after 900 s",
        ),
    ],
)
def test_edge_6_a_pod_that_cannot_start_fails_the_release_after_the_deadline(
    status: dict[str, Any], reason: str, told: str
) -> None:
    world = worlds.healthy().change_model("training.seed", 7).settle()
    pod = world.start_pod("glyphs-r2-train-1")
    world.set_status("Pod", pod, status)
    world.settle()
    assert world.stage(2) == "Training" and world.says("Reconciling") == ("True", reason)
    waits, fix = world.status["message"], told.partition("; ")[2]
    assert fix in waits and "`spec." in waits, "what to do is said while it waits"
    assert world.look_again_after == 900
    writes = len(world.writes)
    world.pass_time(899).settle()
    assert len(world.writes) == writes, "no clock in a status"
    world.pass_time(2).settle()
    assert world.stage(2) == "Failed" and world.says("Ready") == ("False", reason)
    assert told in world.status["message"]
    assert world.jobs() == [], "the Job that cannot start is deleted"
    assert world.entry() == "glyphs-r1"


# -- edge 7: no quota


def test_edge_7_a_suspended_job_is_queued_and_no_clock_runs() -> None:
    world = World().apply_model().apply_index().settle()
    world.edit("Job", "glyphs-r1-train-1", lambda raw: raw["spec"].update(suspend=True))
    world.settle()
    assert world.says("Reconciling") == ("True", "Queued")
    world.pass_time(100_000).settle()
    assert world.stage(1) == "Training" and world.status["phase"] == "Progressing"
    world.edit("Job", "glyphs-r1-train-1", lambda raw: raw["spec"].update(suspend=False))
    assert world.run().stage(1) == "Serving"


def test_edge_7_a_job_without_a_pod_is_queued_after_a_minute() -> None:
    world = World().apply_model().apply_index().settle()
    world.settle()
    assert world.look_again_after == 60
    world.pass_time(61).settle()
    assert world.says("Reconciling") == ("True", "Queued") and "quota" in world.status["message"]
    assert "kubectl describe job/glyphs-r1-train-1 -n shop" in world.status["message"]


def test_edge_7_a_priority_class_that_may_be_missing_is_named() -> None:
    world = World().apply_model().apply_index()
    world.change_model("training.template", {"priorityClassName": "no-such-priority"}).settle()
    world.pass_time(61).settle()
    assert "there is no PriorityClass no-such-priority" in world.status["message"]


def test_edge_7_a_refused_job_is_told_and_tried_again() -> None:
    from lockstep_operator.decide.snapshot.observed import Refusal

    world = World().apply_model().apply_index()
    world.step()
    world.refusals = (Refusal("Job", "glyphs-r1-train-1", "exceeded quota: jobs", "Forbidden"),)
    plan = world.decide()
    assert plan.create and plan.look_again_after == 30
    (write,) = [w for w in plan.projections if w.of.kind == "EmbeddingModel"]
    assert "refused Job glyphs-r1-train-1: exceeded quota" in write.status["message"]
    assert world.run().stage(1) == "Serving"


# -- edge 8: the gates


def test_edge_8_pass_goes_on_to_indexing() -> None:
    world = World().apply_model().apply_index().run_to("Indexing", 1)
    assert world.status["gatesSummary"] == "1/1" and world.status["recall"] == "0.990"


def test_edge_8_fail_leaves_stable_alone() -> None:
    world = worlds.healthy()
    world.recall = 0.884
    world.change_model("training.seed", 7).run()
    assert world.stage(2) == "Failed" and world.says("Ready") == ("False", "GateFailed")
    assert world.says("GatesPassed") == ("False", "GateFailed")
    assert world.says("Serving") == ("True", "Serving") and world.entry() == "glyphs-r1"
    assert "recall@1 0.884 < 0.950 FAIL" in world.status["message"]
    assert not [key for key in world.objects if key[1].startswith("glyphs-r2-encoder")]


def test_edge_8_what_failed_is_shown_until_the_spec_asks_for_it_no_more() -> None:
    world = worlds.healthy()
    world.recall = 0.884
    world.change_model("training.seed", 7).run()
    assert (world.status["recall"], world.status["gatesSummary"]) == ("0.884", "0/1")
    world.change_model("training.seed", 0).run()
    assert world.status["phase"] == "Healthy" and world.says("GatesPassed")[0] == "True"
    assert (world.status["recall"], world.status["gatesSummary"]) == ("0.990", "1/1")


def test_edge_8_inconclusive_pauses_for_a_person() -> None:
    world = worlds.healthy()
    world.samples = 200
    world.change_model("training.seed", 7).run()
    assert world.stage(2) == "Evaluating" and world.status["phase"] == "Paused"
    assert world.says("Reconciling") == ("True", "GateInconclusive")
    assert "n=200 of 300 needed (`minSamples`)" in world.status["message"]
    for verb in ("promote", "retry", "abort"):
        assert f"lockstep.dev/{verb}=r2" in world.status["message"]
    writes = len(world.writes)
    world.pass_time(100_000).settle()
    assert len(world.writes) == writes


def test_edge_8_promote_goes_on_past_an_inconclusive_gate() -> None:
    world = worlds.healthy()
    world.samples = 200
    world.change_model("training.seed", 7).run()
    world.annotate("promote", "r2").run()
    assert world.entry() == "glyphs-r2" and world.says("GatesPassed") == ("True", "GatesWaived")
    assert world.status["lastHandled"][0]["outcome"].startswith("accepted")


def test_edge_8_retry_measures_again() -> None:
    world = worlds.healthy()
    world.samples = 200
    world.change_model("training.seed", 7).run()
    world.samples = 4623
    world.annotate("retry", "r2").settle()
    assert world.jobs() == ["glyphs-r2-evaluate-2"] and "pausedAt" not in world.record(2)
    assert world.run().entry() == "glyphs-r2"


def test_edge_8_gates_are_read_live_until_judged() -> None:
    world = worlds.healthy()
    world.samples = 200
    world.change_model("training.seed", 7).run()
    world.change_model("rollout.gates", [{**worlds.GATE, "minSamples": 100}]).run()
    assert world.entry() == "glyphs-r2"


def test_edge_8_a_gate_that_was_not_measured_is_an_error_and_waits() -> None:
    world = World().apply_model().apply_index().settle().end_jobs().settle()
    late = {**worlds.GATE, "name": "wide", "k": 5}
    world.change_model("rollout.gates", [worlds.GATE, late])
    world.end_jobs().settle()
    assert (
        world.status["phase"] == "Paused" and "recall@5 was not measured" in world.status["message"]
    )
    world.annotate("retry", "r1").run()
    assert world.stage(1) == "Serving" and world.status["gatesSummary"] == "2/2"


def test_edge_8_without_gates_a_release_passes_and_says_so() -> None:
    world = worlds.healthy(rollout={})
    assert world.status["gatesSummary"] == "0/0"
    assert world.status["gates"][0]["line"] == (
        "no gates in `spec.rollout.gates`: passed unchecked; recall@1 0.990 (n=4623)"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evaluation": None}, "InvalidResult"),
        ({"program": "Train"}, "InvalidResult"),
        ("other artifact", "ResultMismatch"),
    ],
)
def test_edge_8_a_measurement_of_something_else_is_refused(changes: Any, reason: str) -> None:
    import json

    world = World().apply_model().apply_index().run_to("Evaluating", 1)
    job = "glyphs-r1-evaluate-1"
    report = json.loads(world.result(job))
    if changes == "other artifact":
        report["evaluation"]["artifactDigest"] = f"sha256:{'0' * 64}"
    else:
        report |= changes
    world.end_job(job, message=json.dumps(report))
    world.settle()
    assert world.stage(1) == "Failed" and world.says("Ready") == ("False", reason)


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
