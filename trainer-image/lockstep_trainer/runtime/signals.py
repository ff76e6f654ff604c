"""Signals of a process that may be PID 1 of its container, where none has a default.

SIGTERM of a run is handled by `lockstep_core.jobs.Stopping`. Where several workers run, their
parent (`distributed.supervisor`) passes signals on.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from lockstep_core.protocol.exitcodes import ExitCode


def end_at_once() -> None:
    """For work that has nothing to save: SIGTERM and SIGINT end it as preempted. Main thread only.

    Without a handler PID 1 would not end at all, until its grace is over and it is killed.
    """

    def end(number: int, frame: FrameType | None) -> None:
        os._exit(ExitCode.PREEMPTED)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


class CheckpointRequests:
    """SIGUSR1: save a checkpoint now. Handled from the first moment on, or the signal would kill.

    A plain flag, as in `lockstep_core.jobs.Stopping`: a handler must not take a lock."""

    def __init__(self) -> None:
        self._requested = False

    def listen(self) -> None:
        """Main thread only."""
        signal.signal(signal.SIGUSR1, self._on_signal)

    def take(self) -> bool:
        """Whether a checkpoint was asked for since the last call."""
        requested, self._requested = self._requested, False
        return requested

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._requested = True
