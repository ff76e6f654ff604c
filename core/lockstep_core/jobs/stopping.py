"""SIGTERM and SIGINT: the work finishes its step, and ends as preempted."""

from __future__ import annotations

import os
import signal
from types import FrameType

from lockstep_core.jobs.failure import JobFailure
from lockstep_core.protocol.exitcodes import ExitCode


def preempted(where: str, *, goes_on: str | None = None) -> JobFailure:
    """The failure of work that a signal stopped.

    `where` says how far it had come, `goes_on` from where the next pod takes it up: None for work
    that keeps nothing.
    """
    kept = (
        f"; the work is kept. It runs again by itself and goes on from {goes_on}, and that does not"
        " count as an attempt."
        if goes_on
        else "; nothing was published and no partial work is kept. It runs again by itself, from"
        " the start, and that does not count as an attempt."
    )
    return JobFailure(ExitCode.PREEMPTED, "Preempted", where + kept)


class Stopping:
    """Asked at every step. A plain flag and no `threading.Event`: a signal handler that takes a
    lock can deadlock with the main thread, which it interrupts."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def check(self) -> None:
        """Raises JobFailure (exit 75) once a stop was asked for."""
        if self._set:
            raise preempted("stopped by a signal before the end")

    def listen(self) -> None:
        """Sets the flag on the first SIGTERM or SIGINT; a second one ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._set:
            os._exit(ExitCode.PREEMPTED)
        self._set = True
