"""PID 1 of a pod with several workers: starts them, forwards signals, reports how they ended.

Torch's own launcher turns every exit code into 1, so a cluster could not tell bad data from a
preemption. Here each worker leaves its result in a file, and one of them is the pod's.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from lockstep_core.jobs import JobFailure, emit, failed, preempted
from lockstep_core.protocol.environment import TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program, Result
from lockstep_trainer.distributed.ranks import WorkerGroup

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
GRACE_SECONDS = 45.0
"""After a worker failed: the others save and end within it, and the pod within its own grace."""

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@dataclass(frozen=True)
class End:
    """How a worker ended: its exit code (negative: minus the signal) and the result it left."""

    rank: int
    code: int
    result: Result | None = None


def verdict(ends: Sequence[End]) -> End:
    """The end that stands for all; `ends` in the order in which they came.

    Process 0 publishes last, so its success is everybody's. Otherwise the first failure is the
    cause: what came after it was ended by it. A preemption gives way to any other failure,
    because the processes that miss a lost one end as preempted as well.
    """
    leader = next((end for end in ends if end.rank == 0), None)
    if leader is not None and leader.code == ExitCode.OK:
        return leader
    failures = [end for end in ends if end.code != ExitCode.OK]
    if not failures:
        return ends[0]
    for end in failures:
        if end.code != ExitCode.PREEMPTED:
            return end
    return min(failures, key=lambda end: end.rank)


def conclude(end: End, processes: int) -> int:
    """Leaves the result of the pod, and returns its exit code."""
    if end.result is not None and int(end.result.exit_code) == end.code:
        return emit(end.result)
    who = f"process {end.rank} (of {processes} in this pod)"
    if end.code == -signal.SIGKILL:
        # The kernel ends what is over the memory limit: 137, as for a program alone.
        log.error("%s was killed: raise the memory limit of the pod, or lower batch.classes", who)
        return 128 + signal.SIGKILL
    if end.code < 0:
        name = signal.Signals(-end.code).name
        return _internal(f"{who} was ended by {name}; the log holds what it said")
    if end.code == ExitCode.OK:
        return int(ExitCode.OK)
    if end.code == ExitCode.PREEMPTED:
        return emit(failed(Program.TRAIN, preempted(f"{who} was stopped before it could say more")))
    if end.code in tuple(ExitCode):
        log.error("%s ended with exit code %d and left no result", who, end.code)
        return end.code
    return _internal(f"{who} ended with exit code {end.code}; the log holds what it said")


def _internal(message: str) -> int:
    return emit(failed(Program.TRAIN, JobFailure(ExitCode.INTERNAL, "Internal", message)))


class Supervisor:
    """The workers of one pod. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        command: Sequence[str],
        workers: WorkerGroup,
        folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._command, self._workers, self._folder = list(command), workers, folder
        self._clock, self._sleep = clock, sleep
        self._ranks: dict[int, int] = {}
        self._asked: list[int] = []
        self._stopped = False

    def run(self) -> list[End]:
        """Starts all and waits for all; the ends, in their order."""
        for number in FORWARDED:
            signal.signal(number, self._on_signal)
        processes = [self._start(rank) for rank in self._workers.ranks()]
        ends: list[End] = []
        deadline: float | None = None
        while self._ranks:
            self._forward()
            for end in self._reap():
                ends.append(end)
                if end.code != ExitCode.OK and deadline is None:
                    deadline = self._clock() + GRACE_SECONDS
                    self._stopped = True
                    self._send(signal.SIGTERM)
            if deadline is not None and self._clock() > deadline:
                self._send(signal.SIGKILL)
            if self._ranks:
                self._sleep(POLL_SECONDS)
        for process in processes:
            # Reaped above, as all children of PID 1 are, whoever started them.
            process.returncode = 0
        return ends

    def _start(self, rank: int) -> subprocess.Popen[bytes]:
        variables = self._workers.environment(rank) | {
            TERMINATION_PATH_VARIABLE: str(self._file(rank))
        }
        # Standard output belongs to the pod's one result.
        process = subprocess.Popen(
            self._command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            # A terminal signals a whole group: forwarded as well, that would be a second time,
            # which ends a worker before it has saved.
            process_group=0,
        )
        self._ranks[process.pid] = rank
        return process

    def _reap(self) -> list[End]:
        ends = []
        for pid, status in self._ended_children():
            rank = self._ranks.pop(pid, None)
            if rank is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code == -signal.SIGTERM and self._stopped:
                # It had not yet begun to listen, and has nothing to save.
                code = int(ExitCode.PREEMPTED)
            ends.append(End(rank, code, self._result(rank)))
        return ends

    def _ended_children(self) -> Iterator[tuple[int, int]]:
        """PID 1 inherits every orphan of its pod, and must ask after them as well."""
        for asked in [-1] * len(self._ranks) if os.getpid() == 1 else list(self._ranks):
            pid, status = os.waitpid(asked, os.WNOHANG)
            if pid:
                yield pid, status

    def _result(self, rank: int) -> Result | None:
        try:
            return Result.from_json(self._file(rank).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError):
            return None

    def _file(self, rank: int) -> Path:
        return self._folder / f"result-{rank}"

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Only noted: a signal between two starts must reach the workers that come after it, too.
        self._asked.append(number)

    def _forward(self) -> None:
        while self._asked:
            number = self._asked.pop(0)
            self._stopped |= number != signal.SIGUSR1
            self._send(number)

    def _send(self, number: int) -> None:
        for pid, rank in self._ranks.items():
            # Process 0 alone saves checkpoints.
            if number != signal.SIGUSR1 or rank == 0:
                os.kill(pid, number)


def supervise(command: Sequence[str], workers: WorkerGroup) -> int:
    """Runs `command` once for each process of this pod; the pod's exit code."""
    with tempfile.TemporaryDirectory(prefix="lockstep-workers-") as folder:
        ends = Supervisor(command, workers, Path(folder)).run()
    return conclude(verdict(ends), workers.processes)
