"""SIGUSR1: save a checkpoint now. Heard from the first moment on, or the signal would kill."""

from __future__ import annotations

import signal
from types import FrameType


class Wishes:
    """A plain flag, as in `lockstep_core.jobs.Stopping`: a handler must not take a lock."""

    def __init__(self) -> None:
        self._wished = False

    def listen(self) -> None:
        """Main thread only."""
        signal.signal(signal.SIGUSR1, self._on_signal)

    def take(self) -> bool:
        """Whether a checkpoint was wished for since the last time that this was asked."""
        wished, self._wished = self._wished, False
        return wished

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._wished = True
