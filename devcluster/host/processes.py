"""Start, find and stop the programs of one cluster.

A pid file alone lies after an unclean death, because pids are used again; so it
also records when the process started, and both must match.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.report import DevclusterError


@dataclass(frozen=True)
class Spec:
    """One program: its name in the cluster, its command line, and extra environment."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when dead or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def kill_all(pids: Iterable[int], *, grace: float) -> None:
    """Ask processes to end, then end those that have not within `grace` seconds."""
    alive = {pid: ticks for pid in pids if (ticks := start_ticks(pid)) is not None}
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        if number is signal.SIGTERM and grace <= 0:
            continue
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while alive and time.monotonic() < deadline:
            alive = {pid: ticks for pid, ticks in alive.items() if start_ticks(pid) == ticks}
            if alive:
                time.sleep(0.05)


def run_when_idle() -> None:
    """From now on, give way to everything else on the machine; a SIGTERM ends children too."""
    os.nice(19)
    # The kernel weighs sessions against each other, and niceness only within one: so a session of
    # its own, of the least weight. A leader of a process group cannot have one.
    with contextlib.suppress(PermissionError):
        os.setsid()
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text("19")
    # Out of reach of the terminal now, and whoever started this ends this process alone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def resident_mib(pid: int) -> int:
    """Resident memory of a process in MiB, 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


class Processes:
    """The programs of one cluster, each out of reach of the terminal's signals."""

    def __init__(self, run: Path, logs: Path) -> None:
        self._run = run
        self._logs = logs

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _pid_file(self, name: str) -> Path:
        return self._run / f"{name}.pid"

    def names(self) -> list[str]:
        """Programs that were started and not stopped, alive or not."""
        return sorted(path.stem for path in self._run.glob("*.pid"))

    def alive(self, name: str) -> int | None:
        """The pid of a program that runs."""
        try:
            record = json.loads(self._pid_file(name).read_text())
        except (OSError, ValueError):
            return None
        pid = int(record["pid"])
        ticks = start_ticks(pid)
        # None on both sides is a program that ended before its start was recorded.
        return pid if ticks is not None and ticks == record["startTicks"] else None

    def argv(self, name: str) -> list[str]:
        """The command line that a program was started with."""
        try:
            return list(json.loads(self._pid_file(name).read_text())["argv"])
        except (OSError, ValueError, KeyError):
            return []

    def ensure(self, spec: Spec) -> bool:
        """Start a program unless it runs; True when it was started now."""
        if self.alive(spec.name) is not None:
            return False
        log = self.log(spec.name)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            child = subprocess.Popen(
                spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **spec.env},
            )
        record = {"pid": child.pid, "startTicks": start_ticks(child.pid), "argv": spec.argv}
        self._pid_file(spec.name).write_text(json.dumps(record))
        return True

    def stop(self, names: Iterable[str], *, grace: float = 5.0) -> None:
        """Stop programs, all at once, and forget them."""
        names = list(names)
        kill_all([pid for name in names if (pid := self.alive(name))], grace=grace)
        for name in names:
            self._pid_file(name).unlink(missing_ok=True)

    def wait(
        self, what: str, check: Callable[[], bool], *, needs: Iterable[str], timeout: float
    ) -> None:
        """Wait for `check`; fail early, with the log's end, when a needed program ends."""
        needs = list(needs)
        deadline = time.monotonic() + timeout
        while not check():
            dead = [name for name in needs if self.alive(name) is None]
            late = time.monotonic() > deadline
            if dead or late:
                reason = f"{dead[0]} ended" if dead else f"not within {timeout:.0f} s"
                name = dead[0] if dead else needs[-1]
                raise DevclusterError(
                    f"{what}: {reason}; the end of {self.log(name)}:\n{self._tail(name)}"
                )
            time.sleep(0.1)

    def _tail(self, name: str, lines: int = 15) -> str:
        try:
            text = self.log(name).read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(line[:300] for line in text.splitlines()[-lines:])
