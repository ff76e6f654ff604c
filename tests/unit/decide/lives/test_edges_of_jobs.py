"""Edges 4 to 7, one test each: Jobs end well, fail, are tried again, or wait for quota."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit


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


# -- edge 7: a queue, and what is refused


def test_edge_7_a_suspended_job_is_queued_and_no_clock_runs() -> None:
    world = World().apply_model().apply_index().settle()
    job = "glyphs-r1-train-1"
    world.edit("Job", job, lambda raw: raw["spec"].update(suspend=True))
    suspended = {"type": "Suspended", "status": "True", "reason": "JobSuspended"}
    world.set_status("Job", job, {"conditions": [suspended]})
    world.settle()
    assert world.says("Reconciling") == ("True", "Queued")
    world.pass_time(100_000).settle()
    assert world.stage(1) == "Training" and world.status["phase"] == "Progressing"
    world.edit("Job", job, lambda raw: raw["spec"].update(suspend=False))
    world.settle()
    assert world.says("Reconciling") == ("True", "Queued"), "its controller has not let it go yet"
    resumed = {"conditions": [suspended | {"status": "False"}], "startTime": world.text()}
    world.set_status("Job", job, resumed)
    world.pass_time(800).settle()
    assert world.stage(1) == "Training", "the clock begins when it is let go"
    assert world.run().stage(1) == "Serving"


def test_edge_7_a_pod_that_its_queue_gates_is_queued_and_no_clock_runs() -> None:
    world = World().apply_model().apply_index().settle()
    pod = world.start_pod("glyphs-r1-train-1")
    gates = [{"name": "kueue.x-k8s.io/admission"}]
    world.edit("Pod", pod, lambda raw: raw["spec"].update(schedulingGates=gates))
    world.settle().pass_time(100_000).settle()
    assert world.says("Reconciling") == ("True", "Queued")
    assert "kueue.x-k8s.io/admission" in world.status["message"]


def test_edge_7_a_job_without_a_pod_and_without_an_event_fails_after_the_deadline() -> None:
    world = World().apply_model().apply_index().settle()
    assert world.look_again_after == 10
    world.pass_time(61).settle()
    assert world.says("Reconciling") == ("True", "NoPod")
    assert "kubectl describe job/glyphs-r1-train-1 -n shop" in world.status["message"]
    world.pass_time(840).settle()
    assert world.stage(1) == "Failed" and world.says("Stalled") == ("True", "NoPod")


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


def test_edge_7_a_job_that_is_refused_for_good_fails_the_release() -> None:
    from lockstep_operator.decide.snapshot.observed import Refusal

    world = World().apply_model().apply_index()
    world.step()
    words = (
        "jobs.batch \"glyphs-r1-train-1\" is forbidden: ValidatingAdmissionPolicy 'small' with"
        " binding 'small' denied request: no Jobs here"
    )
    world.refusals = (Refusal("Job", "glyphs-r1-train-1", words, "Forbidden"),)
    world.settle()
    assert world.stage(1) == "Failed" and world.says("Stalled") == ("True", "WriteRefused")
    assert "no Jobs here; change `spec.training.template`" in world.status["message"]
    assert world.jobs() == []


def test_edge_7_a_job_that_is_refused_until_the_deadline_fails_the_release() -> None:
    from lockstep_operator.decide.snapshot.observed import Refusal

    world = World().apply_model().apply_index().settle()
    world.remove("Job", "glyphs-r1-train-1")
    refusals = (Refusal("Job", "glyphs-r1-train-1", "exceeded quota: jobs", "Forbidden"),)
    for seconds, creates in ((890, True), (20, False)):
        world.pass_time(seconds)
        world.refusals = refusals
        assert bool(world.decide().create) is creates
    world.settle()
    assert world.says("Stalled") == ("True", "WriteRefused")
    assert "for 900 s: exceeded quota: jobs; raise the ResourceQuota" in world.status["message"]
