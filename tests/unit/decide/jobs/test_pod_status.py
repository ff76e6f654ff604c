"""Rules that need no world: hashes, tokens, times, what pods and Jobs say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program, Result
from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.decide.jobs import pod_status
from lockstep_operator.decide.jobs.job_status import JobState, Retry, read_job
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.hashing import index_hash, space_hash
from lockstep_operator.decide.vocabulary.hints import number_of
from lockstep_operator.decide.vocabulary.reasons import Reason
from lockstep_operator.manifests import JobKind

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TRAINING = {
    "data": {"uri": "file:///artifacts/x.npz", "format": "NPZ"},
    "encoder": {"kind": "CNN", "dimension": 64},
    "budget": {"maxSteps": 400},
}


def frozen(name: str, **changes: Any) -> FrozenIndex:
    fields = {"source": TRAINING["data"], "index": {}, "objectives": {}} | changes
    return FrozenIndex.model_validate({"name": name, **fields})


def test_the_space_hash_covers_what_shapes_the_space_and_the_store() -> None:
    one = space_hash(TrainingSpec.model_validate(TRAINING), "file:///artifacts")
    assert one == space_hash(
        TrainingSpec.model_validate({**TRAINING, "seed": 0}), "file:///artifacts"
    )
    assert one != space_hash(
        TrainingSpec.model_validate({**TRAINING, "seed": 1}), "file:///artifacts"
    )
    assert one != space_hash(TrainingSpec.model_validate(TRAINING), "file:///elsewhere")
    often = TrainingSpec.model_validate(TRAINING | {"checkpoint": {"everySteps": 5, "keep": 9}})
    assert one == space_hash(often, "file:///artifacts")
    gentle = TrainingSpec.model_validate(TRAINING | {"collapse": {"maxRewinds": 2}})
    assert one != space_hash(gentle, "file:///artifacts")
    # Stored releases carry it: another value would train every model anew.
    assert one == "6ae1b50deeb03a49"


def test_the_index_hash_does_not_depend_on_the_order() -> None:
    a, b = frozen("a"), frozen("b", index={"type": "Flat"})
    assert index_hash([a, b]) == index_hash([b, a]) != index_hash([a])
    assert index_hash([a]) != index_hash([frozen("a", objectives={"recall": {"min": "0.9"}})])


@pytest.mark.parametrize(
    ("token", "number"),
    [("r1", 1), ("glyphs-r12", 12), ("r1.2", 1), (" r3 ", 3), ("glyphs-r3.4", 3)],
)
def test_tokens_name_a_release(token: str, number: int) -> None:
    assert number_of(token, "glyphs") == number


@pytest.mark.parametrize("token", ["", "r0", "r", "1", "other-r1", "r1.", "r1 r2", "glyphs"])
def test_other_tokens_name_none(token: str) -> None:
    assert number_of(token, "glyphs") is None


@given(st.floats(min_value=0, max_value=10**7), st.integers(min_value=0, max_value=999_999))
def test_a_later_time_is_never_too_early(seconds: float, micros: int) -> None:
    now = NOW + timedelta(microseconds=micros)
    late = clock.parse(clock.later(now, seconds)) - now
    assert timedelta(seconds=seconds) - timedelta(microseconds=2) <= late
    assert late < timedelta(seconds=seconds + 1.001)


def test_reasons_are_one_camel_case_word_each_and_none_twice() -> None:
    values = [str(reason) for reason in Reason]
    assert len(set(values)) == len(values)
    assert all(value.isalpha() and value[0].isupper() for value in values)


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "creationTimestamp": clock.text(NOW)}, "status": status}


def job(kind: str, **condition: Any) -> dict[str, Any]:
    since = {"lastTransitionTime": clock.text(NOW)}
    conditions = [{"type": kind, "status": "True", **since, **condition}]
    return {"metadata": {"name": "j"}, "spec": {}, "status": {"conditions": conditions}}


def test_a_complete_job_waits_for_its_pod_and_is_run_again_when_it_never_comes() -> None:
    report = read_job(job("Complete"), [], JobKind.TRAIN, NOW)
    assert report.state is JobState.UNCLEAR and report.look_again_in == 15
    report = read_job(job("Complete"), [], JobKind.TRAIN, NOW + timedelta(seconds=20))
    assert report.state is JobState.FAILED and report.retry is Retry.UNCOUNTED


def test_of_several_pods_of_one_job_the_one_that_decides_is_read() -> None:
    def ended(code: int, name: str, **more: Any) -> dict[str, Any]:
        terminated = {"exitCode": code, "message": "words"}
        containers = [{"name": "main", "state": {"terminated": terminated}}]
        found = pod(phase="Failed", containerStatuses=containers, **more)
        found["metadata"]["name"] = name
        return found

    first, last = ended(75, "a"), ended(3, "b")
    report = read_job(job("Failed"), [first, last], JobKind.TRAIN, NOW)
    assert (report.exit_code, report.pod, report.retry) == (3, "b", Retry.NEVER)
    # A pod that is still seen running, or that ended well, says nothing about the failure.
    running, well = pod(phase="Running"), ended(0, "c")
    report = read_job(job("Failed"), [running, well], JobKind.TRAIN, NOW)
    assert report.state is JobState.UNCLEAR


def test_a_check_that_failed_speaks_for_the_program_that_never_began() -> None:
    said = Result(
        program=Program.TRAIN, exit_code=ExitCode.BAD_DATASET, reason="BadDataset", message="why"
    )
    terminated = {"exitCode": 3, "message": said.to_json()}
    check = {"name": "validate", "state": {"terminated": terminated}}
    waiting = {"name": "main", "state": {"waiting": {"reason": "PodInitializing"}}}
    found = pod(phase="Failed", initContainerStatuses=[check], containerStatuses=[waiting])
    report = read_job(job("Failed"), [found], JobKind.TRAIN, NOW)
    assert (report.exit_code, report.reason, report.message) == (3, "BadDataset", "why")
    assert report.retry is Retry.NEVER and report.pod == "p"
    # One that ended well, or another's, says nothing.
    for name, code in (("validate", 0), ("istio-init", 1)):
        other = {"name": name, "state": {"terminated": {"exitCode": code}}}
        running = pod(phase="Running", initContainerStatuses=[other], containerStatuses=[waiting])
        assert pod_status.ended(running) is None


def test_a_side_container_and_an_init_container_do_not_speak_for_the_program() -> None:
    other = {"name": "proxy", "state": {"terminated": {"exitCode": 1}}}
    assert pod_status.ended(pod(containerStatuses=[other])) is None
    waiting = {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}
    assert pod_status.find_stuck([pod(phase="Pending", containerStatuses=[waiting])]) is None
    scheduled = {"type": "PodScheduled", "status": "True"}
    assert pod_status.find_stuck([pod(phase="Pending", conditions=[scheduled])]) is None
    assert pod_status.find_stuck([pod(phase="Running")]) is None
    assert pod_status.find_stuck([]) is None


def test_a_server_that_recovered_is_not_crashed() -> None:
    before = {"terminated": {"exitCode": 9, "message": ""}}
    running = {"name": "main", "ready": True, "state": {"running": {}}, "lastState": before}
    assert pod_status.crashed(pod(containerStatuses=[running])) is None
    assert (
        pod_status.crashed(pod(containerStatuses=[{"name": "main", "state": {"running": {}}}]))
        is None
    )
    assert pod_status.crashed(pod()) is None
    down = {**running, "ready": False}
    found = pod_status.crashed(pod(containerStatuses=[down]))
    assert found is not None and found.exit_code == 9


def test_an_image_that_cannot_be_named_is_named_by_the_spec() -> None:
    waiting = {"name": "main", "state": {"waiting": {"reason": "InvalidImageName"}}}
    found = pod(containerStatuses=[waiting])
    found["spec"] = {"containers": [{"name": "main", "image": "UPPER:case"}]}
    stuck = pod_status.find_stuck([found])
    assert stuck is not None and stuck.sentence() == (
        "pod p cannot pull image UPPER:case (InvalidImageName)"
    )
