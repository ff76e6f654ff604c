"""Jobs as processes: exit codes, termination messages, signals, and work that is not done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lockstep_core.jobs import JobFailure, Stopping, as_failure
from lockstep_core.jobs.outcome import emit, failed
from lockstep_core.protocol.environment import TERMINATION_LIMIT
from lockstep_core.protocol.exitcodes import RETRYABLE, ExitCode
from lockstep_core.protocol.result import Program, Result

pytestmark = [pytest.mark.unit, pytest.mark.programs]

PROGRAM = Path(__file__).with_name("job_program.py")


@dataclass
class Ended:
    code: int
    result: Result
    log: str


class Job:
    """Runs `job_program.py` on a volume of its own."""

    def __init__(self, folder: Path, volume: Path) -> None:
        self.folder = folder
        self.volume = volume
        self.config: dict[str, Any] = {
            "release": "glyphs-r1",
            "releaseUID": "uid-1",
            "attempt": 1,
            "artifacts": {"uri": f"file://{volume}", "claimName": "artifacts"},
        }
        self.environment: dict[str, str] = {}

    @property
    def termination(self) -> Path:
        return self.folder / "termination-log"

    def start(self, does: str, *arguments: str, config: str | None = None) -> subprocess.Popen[str]:
        text = json.dumps(self.config) if config is None else config
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), *arguments],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "LOCKSTEP_CONFIG": text,
                "LOCKSTEP_TERMINATION_PATH": str(self.termination),
                "LOCKSTEP_TEST_DOES": does,
                "LOCKSTEP_TEST_WORK": str(self.folder / "work"),
                **self.environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Ended:
        out, log = process.communicate(timeout=60)
        message = self.termination.read_text()
        assert out == message + "\n"
        assert len(message.encode()) <= TERMINATION_LIMIT
        result = Result.from_json(message)
        assert process.returncode == result.exit_code
        return Ended(process.returncode, result, log)

    def run(self, does: str, *arguments: str, config: str | None = None) -> Ended:
        return self.ended(self.start(does, *arguments, config=config))


@pytest.fixture
def job(tmp_path: Path, volume: Path) -> Job:
    return Job(tmp_path, volume)


@pytest.mark.parametrize(("does", "attempt"), [("Train", 2), ("Build", 2), ("Evaluate", 1)])
def test_work_is_done_once_per_release(job: Job, does: str, attempt: int) -> None:
    first = job.run(does)
    assert (first.code, first.result.reason) == (ExitCode.OK, "Succeeded")
    job.config["attempt"] = attempt
    again = job.run(does)
    assert (again.code, again.result.reason) == (ExitCode.OK, "AlreadyDone")
    # The facts are those of attempt 1: nothing was computed.
    assert again.result.model_copy(update={"reason": "Succeeded"}) == first.result
    job.config.update(releaseUID="uid-2", attempt=3)
    other = job.run(does)
    assert other.result.reason == "Succeeded"
    assert other.result != first.result


def test_another_attempt_at_measuring_measures_anew(job: Job) -> None:
    first = job.run("Evaluate").result.evaluation
    job.config["attempt"] = 2
    again = job.run("Evaluate").result
    assert again.reason == "Succeeded"
    assert (first and first.items, again.evaluation and again.evaluation.items) == (1, 2)


def test_a_kept_result_of_another_program_is_not_an_answer(job: Job) -> None:
    job.run("Train")
    (kept,) = (job.volume / "results/uid-1").iterdir()
    report = Result.from_json(kept.read_text())
    kept.write_text(report.model_copy(update={"program": Program.BUILD}).to_json())
    again = job.run("Train")
    assert again.result.reason == "Succeeded"
    assert "is no success of Train" in again.log
    assert Result.from_json(kept.read_text()) == again.result


@pytest.mark.parametrize("does", ["Train", "Build"])
def test_an_earlier_result_counts_only_while_its_artifact_is_whole(job: Job, does: str) -> None:
    job.run(does)
    for blob in (job.volume / "blobs/sha256").iterdir():
        blob.write_bytes(b"rotten")
    job.config["attempt"] = 2
    healed = job.run(does)
    assert healed.result.reason == "Succeeded"
    assert "its artifact is gone" in healed.log
    job.config["attempt"] = 3
    again = job.run(does)
    assert again.result.model_copy(update={"reason": "Succeeded"}) == healed.result


def test_a_result_that_cannot_be_kept_does_not_spoil_success(job: Job) -> None:
    ended = job.run("Unkept")
    assert (ended.code, ended.result.reason) == (ExitCode.OK, "Succeeded")
    assert "the result could not be kept" in ended.log
    # But the store is out of order, and the next Job cannot even look for an earlier result.
    assert job.run("Evaluate").code == ExitCode.STORE_UNAVAILABLE


@pytest.mark.parametrize(
    ("does", "code", "reason", "said"),
    [
        ("DatasetError", ExitCode.BAD_DATASET, "BadDataset", "`inputs` is empty. Fix: add items"),
        ("EncodingError", ExitCode.BAD_DATASET, "NotEncodable", "item 3: items are too wide"),
        ("Diverged", ExitCode.DIVERGED, "Diverged", "the loss is not finite"),
        ("ArtifactError", ExitCode.DIGEST_MISMATCH, "ArtifactRefused", "is not in the store"),
        ("ExportFailed", ExitCode.EXPORT_FAILED, "ExportFailed", "parity 0.1"),
        ("MemoryError", ExitCode.OUT_OF_MEMORY, "OutOfMemory", "3 TiB): raise the memory limit"),
        ("Allocate", ExitCode.OUT_OF_MEMORY, "OutOfMemory", "Unable to allocate"),
        ("SelfCheckError", ExitCode.SELF_CHECK_FAILED, "SelfCheckFailed", "golden vectors differ"),
        ("Internal", ExitCode.INTERNAL, "Internal", "ZeroDivisionError: division by zero"),
        ("Surrogate", ExitCode.INTERNAL, "Internal", "name ?"),
    ],
)
def test_every_failure_has_its_exit_code(
    job: Job, does: str, code: ExitCode, reason: str, said: str
) -> None:
    ended = job.run(does)
    assert (ended.code, ended.result.reason) == (code, reason)
    assert said in ended.result.message
    assert "Traceback" in ended.log
    assert "Traceback" not in ended.result.message
    # A failure is not a result: the next attempt works.
    assert not (job.volume / "results").exists()


def test_a_long_message_is_cut_to_what_fits(job: Job) -> None:
    ended = job.run("Long")
    assert ended.code == ExitCode.INTERNAL
    assert ended.result.message.endswith("…")
    assert len(ended.result.message) > 300


def test_facts_that_do_not_fit_are_a_failure_that_is_not_tried_again(job: Job) -> None:
    job.environment["LOCKSTEP_TEST_KS"] = "40"
    ended = job.run("Evaluate")
    assert (ended.code, ended.result.reason) == (ExitCode.BAD_CONFIG, "ResultTooLarge")
    assert ExitCode(ended.code) not in RETRYABLE
    assert "exceeds 4096" in ended.result.message and "recallAt" in ended.result.message


def test_a_store_that_is_not_there_is_unavailable(job: Job) -> None:
    job.config["artifacts"]["uri"] = f"file://{job.volume}/not-mounted"
    ended = job.run("Train")
    assert (ended.code, ended.result.reason) == (ExitCode.STORE_UNAVAILABLE, "StoreUnavailable")
    assert ExitCode(ended.code) in RETRYABLE


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", ["no config: set LOCKSTEP_CONFIG, or give --config FILE"]),
        ("{", ["LOCKSTEP_CONFIG is not a valid JobConfig: config: Invalid JSON"]),
        ("[]", ["config: ", "(got [])"]),
        (
            '{"release": "Glyphs", "attempt": 0, "artifacts": {"uri": "ftp://x"}, "typo": 1}',
            [
                "release: ",
                "(got 'Glyphs')",
                "releaseUID: Field required",
                "attempt: ",
                "(got 0)",
                "artifacts.uri: ",
                "(got 'ftp://x')",
                "typo: Extra inputs are not permitted (got 1)",
            ],
        ),
        ('{"release": "' + "x" * 500 + '"}', ["xxx... ("[:6]]),
    ],
)
def test_a_bad_config_names_every_field_and_its_value(
    job: Job, config: str, said: list[str]
) -> None:
    ended = job.run("Train", config=config)
    assert (ended.code, ended.result.reason) == (ExitCode.BAD_CONFIG, "BadConfig")
    for part in said:
        assert part in ended.result.message


def test_the_config_may_be_a_file(job: Job) -> None:
    file = job.folder / "config.json"
    file.write_text(json.dumps(job.config))
    assert job.run("Train", str(file), config="{").code == ExitCode.OK
    missing = job.run("Train", str(job.folder / "missing.json"))
    assert missing.code == ExitCode.BAD_CONFIG
    assert "missing.json cannot be read" in missing.result.message
    file.write_bytes(b"\xff\xfe\xff")
    assert job.run("Train", str(file)).code == ExitCode.BAD_CONFIG


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_as_preempted(job: Job, number: signal.Signals) -> None:
    process = job.start("Wait")
    wait_until_it_works(process)
    process.send_signal(number)
    ended = job.ended(process)
    assert (ended.code, ended.result.reason) == (ExitCode.PREEMPTED, "Preempted")


def test_a_second_signal_ends_it_at_once(job: Job) -> None:
    process = job.start("Hang")
    wait_until_it_works(process)
    for _ in range(200):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=0.1)
            break
        except subprocess.TimeoutExpired:
            continue
    process.communicate()
    assert process.returncode == ExitCode.PREEMPTED


def wait_until_it_works(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip() == "waiting":
            return
    pytest.fail(f"the job ended with {process.wait()}")


def test_progress_is_logged_as_json(job: Job) -> None:
    ended = job.run("Train")
    lines = [json.loads(line) for line in ended.log.splitlines()]
    phases = [line["phase"] for line in lines if "phase" in line]
    assert phases[0] == "Training"
    assert phases[-1] == "Done"


def test_a_termination_path_that_cannot_be_written_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = failed(Program.BUILD, JobFailure(ExitCode.DIVERGED, "Diverged", "why"))
    monkeypatch.setenv("LOCKSTEP_TERMINATION_PATH", str(tmp_path / "no/such/folder"))
    assert emit(result) == ExitCode.DIVERGED
    assert Result.from_json(capsys.readouterr().out) == result


def test_no_termination_message_is_made_outside_of_a_pod(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "termination-log"
    monkeypatch.delenv("LOCKSTEP_TERMINATION_PATH", raising=False)
    monkeypatch.setattr("lockstep_core.jobs.outcome.TERMINATION_PATH", str(path))
    result = failed(Program.BUILD, JobFailure(ExitCode.DIVERGED, "Diverged", "why"))
    emit(result)
    assert not path.exists()
    path.touch()
    emit(result)
    assert Result.from_json(path.read_text()) == result


def test_a_failure_is_kept_as_it_is() -> None:
    failure = JobFailure(ExitCode.DIVERGED, "Diverged", "why")
    assert as_failure(failure) is failure
    assert str(failure) == "why"


def test_stopping_is_asked_for_once_and_for_all() -> None:
    stopping = Stopping()
    stopping.check()
    assert not stopping.is_set()
    stopping.set()
    assert stopping.is_set()
    with pytest.raises(JobFailure) as caught:
        stopping.check()
    assert caught.value.code == ExitCode.PREEMPTED
