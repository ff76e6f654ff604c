"""Which process this is, and how the end of several becomes the end of one pod."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program, Result
from lockstep_core.protocol.training import DistributedSpec
from lockstep_trainer.distributed import supervisor as module
from lockstep_trainer.distributed.ranks import Rank, WorkerGroup, rank_of, worker_group_of
from lockstep_trainer.distributed.supervisor import End, Supervisor, conclude, supervise, verdict

pytestmark = [pytest.mark.unit, pytest.mark.programs]

POD = {"JOB_COMPLETION_INDEX": "2", "MASTER_ADDR": "glyphs-r1-train-1-0.glyphs-r1-train"}
TRAIN_JOB = {
    "PET_NNODES": "2",
    "PET_NODE_RANK": "1",
    "PET_NPROC_PER_NODE": "4",
    "PET_MASTER_ADDR": "trainjob-node-0-0.trainjob",
    "PET_MASTER_PORT": "29400",
}


def spec(pods: int = 1, processes: int = 1) -> DistributedSpec:
    return DistributedSpec(pods=pods, processes_per_pod=processes)


def test_a_worker_knows_its_rank() -> None:
    workers = WorkerGroup(processes=2, nodes=3, node=1, address="pod-0", port=29500)
    assert list(workers.ranks()) == [2, 3]
    assert rank_of(workers.environment(3)) == Rank(rank=3, size=6, local_rank=1, local_size=2)
    assert rank_of({"RANK": "1", "WORLD_SIZE": "2"}) == Rank(rank=1, size=2)
    assert rank_of({}) is None
    assert rank_of({"RANK": "0"}) is None


@pytest.mark.parametrize(
    ("wanted", "environment", "workers"),
    [
        (spec(), {}, None),
        (spec(), {"PET_NNODES": "1", "PET_NPROC_PER_NODE": "auto"}, None),
        (spec(pods=3, processes=2), POD, WorkerGroup(2, 3, 2, POD["MASTER_ADDR"], 29500)),
        (spec(), TRAIN_JOB, WorkerGroup(4, 2, 1, "trainjob-node-0-0.trainjob", 29400)),
        (
            spec(processes=8),
            TRAIN_JOB | {"PET_NPROC_PER_NODE": "gpu"},
            WorkerGroup(8, 2, 1, TRAIN_JOB["PET_MASTER_ADDR"], 29400),
        ),
    ],
)
def test_a_pod_knows_its_workers(
    wanted: DistributedSpec, environment: dict[str, str], workers: WorkerGroup | None
) -> None:
    assert worker_group_of(wanted, environment) == workers


def test_processes_of_one_machine_meet_at_a_port_of_their_own() -> None:
    found = worker_group_of(spec(processes=3), {})
    assert found is not None
    assert (found.size, found.address) == (3, "127.0.0.1")
    assert found.port != 29500


@pytest.mark.parametrize(
    ("wanted", "environment", "told"),
    [
        (spec(pods=2), {}, "JOB_COMPLETION_INDEX is not set: a whole number from 0 to 1"),
        (spec(pods=2), {"JOB_COMPLETION_INDEX": "2"}, "JOB_COMPLETION_INDEX is '2'"),
        (spec(pods=2), {"JOB_COMPLETION_INDEX": "1"}, "MASTER_ADDR is not set"),
        (spec(), {"PET_NNODES": "1:4"}, "PET_NNODES is '1:4': an elastic number"),
        (spec(), TRAIN_JOB | {"PET_NPROC_PER_NODE": "-1"}, "PET_NPROC_PER_NODE is '-1'"),
    ],
)
def test_an_environment_that_does_not_fit_is_told(
    wanted: DistributedSpec, environment: dict[str, str], told: str
) -> None:
    with pytest.raises(JobFailure, match=told) as caught:
        worker_group_of(wanted, environment)
    assert caught.value.code is ExitCode.BAD_CONFIG


def test_a_rank_beyond_the_size_is_told() -> None:
    with pytest.raises(JobFailure, match="RANK is '2': a whole number from 0 to 1"):
        rank_of({"RANK": "2", "WORLD_SIZE": "2"})


KILLED = -int(signal.SIGKILL)


@pytest.mark.parametrize(
    ("ends", "rank", "code"),
    [
        # The order is that in which they ended.
        ([(1, 0), (0, 0)], 0, 0),
        ([(3, 0), (2, 0)], 3, 0),
        # Whoever fails by itself is the cause; who misses it is preempted.
        ([(0, 75), (1, 3)], 1, 3),
        ([(1, 8), (0, 5)], 1, 8),
        ([(1, KILLED), (0, 75)], 1, KILLED),
        ([(1, 75), (0, 75)], 0, 75),
        # Process 0 has published: nothing that comes later undoes it.
        ([(0, 0), (1, KILLED)], 0, 0),
        ([(1, 75), (0, 0)], 0, 0),
    ],
)
def test_one_end_stands_for_all(ends: list[tuple[int, int]], rank: int, code: int) -> None:
    found = verdict([End(who, how) for who, how in ends])
    assert (found.rank, found.code) == (rank, code)


def result(code: ExitCode, message: str) -> Result:
    return Result(program=Program.TRAIN, exit_code=code, reason="Told", message=message)


def test_the_result_is_told_once_and_signals_have_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "termination"
    monkeypatch.setenv("LOCKSTEP_TERMINATION_PATH", str(left))
    bad = End(1, 3, result(ExitCode.BAD_DATASET, "no labels"))
    assert conclude(bad, 2) == 3
    assert Result.from_json(left.read_text()).message == "no labels"
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert conclude(End(1, KILLED), 2) == 137
    assert conclude(End(1, 75), 2) == 75
    assert conclude(End(1, -int(signal.SIGABRT)), 2) == ExitCode.INTERNAL
    assert "SIGABRT" in Result.from_json(left.read_text()).message
    assert conclude(End(1, 1), 2) == ExitCode.INTERNAL


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in module.FORWARDED}
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "GRACE_SECONDS", 1.0)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def run(script: str, folder: Path, **more: Any) -> list[End]:
    return Supervisor(sh(script), WorkerGroup(processes=2), folder, **more).run()


@pytest.mark.usefixtures("quick")
def test_a_worker_that_fails_ends_the_others_gently(tmp_path: Path) -> None:
    left = result(ExitCode.BAD_DATASET, "no labels").to_json().replace("'", "")
    script = f"""
      if [ $RANK = 1 ]; then echo '{left}' > $LOCKSTEP_TERMINATION_PATH; exit 3; fi
      trap 'exit 75' TERM; while true; do sleep 0.02; done
    """
    ends = run(script, tmp_path)
    assert [(end.rank, end.code) for end in ends] == [(1, 3), (0, 75)]
    found = verdict(ends)
    assert found.result is not None
    assert found.result.message == "no labels"


@pytest.mark.usefixtures("quick")
def test_a_worker_that_does_not_end_is_killed(tmp_path: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += 0.5
        time.sleep(0.01)

    script = f"""
      if [ $RANK = 0 ]; then until [ -e {tmp_path}/deaf ]; do sleep 0.02; done; exit 5; fi
      trap '' TERM; touch {tmp_path}/deaf; while true; do sleep 0.02; done
    """
    ends = run(script, tmp_path, sleep=sleep, clock=lambda: now[0])
    assert [(end.rank, end.code) for end in ends] == [(0, 5), (1, KILLED)]


@pytest.mark.usefixtures("quick")
def test_signals_reach_the_workers(tmp_path: Path) -> None:
    script = f"""
      trap 'exit 75' TERM; trap 'touch {tmp_path}/saved-$RANK' USR1; touch {tmp_path}/up-$RANK
      while true; do sleep 0.02; done
    """

    def act() -> None:
        while len(list(tmp_path.glob("up-*"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)
        while not (tmp_path / "saved-0").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    other = threading.Thread(target=act)
    other.start()
    ends = run(script, tmp_path)
    other.join()
    assert {(end.rank, end.code) for end in ends} == {(0, 75), (1, 75)}
    assert not (tmp_path / "saved-1").exists()


@pytest.mark.usefixtures("quick")
def test_a_stop_before_a_worker_listens_is_a_preemption() -> None:
    script = "[ $RANK = 1 ] && kill -TERM $PPID; exec sleep 30"
    assert supervise(sh(script), WorkerGroup(processes=2)) == ExitCode.PREEMPTED
