"""Reports to a tracker from a thread of its own: a server that hangs delays nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

MAX_WAITING = 10_000
CLOSE_SECONDS = 30.0
"""Given to a tracker at the end, out of a grace of 60 seconds when a pod is stopped."""


class Ending(StrEnum):
    FINISHED = "Finished"
    FAILED = "Failed"
    STOPPED = "Stopped"


class Backend(Protocol):
    """One tracker. Any of it may block and raise; it is called by one thread."""

    name: str

    def begin(self) -> None: ...

    def log(self, step: int, numbers: Mapping[str, float]) -> None: ...

    def end(self, ending: Ending, numbers: Mapping[str, float], files: Sequence[Path]) -> None: ...

    def abandon(self) -> None:
        """Lets go at once, from another thread, while a call still blocks."""


class Tracker:
    """Passes on to `backend` (None: to nobody). After its first failure, which is reported once, it
    gets no more calls; calls beyond `MAX_WAITING` waiting ones are dropped."""

    def __init__(self, backend: Backend | None, warn: Callable[[str], None]) -> None:
        self._backend, self._warn = backend, warn
        self._calls: queue.Queue[Callable[[], None] | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._closed = self._abandoned = False
        if backend is not None:
            self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)
            self._thread.start()
            self._pass_on(backend.begin)

    def log(self, step: int, **numbers: float) -> None:
        """Numbers after `step`."""
        backend = self._backend
        if backend is not None:
            self._pass_on(lambda: backend.log(step, numbers))

    def close(
        self,
        ending: Ending,
        numbers: Mapping[str, float] | None = None,
        files: Sequence[Path] = (),
        *,
        seconds: float = CLOSE_SECONDS,
    ) -> None:
        """Says how it ended, and waits at most `seconds`. Only the first call counts."""
        backend, thread = self._backend, self._thread
        if backend is None or thread is None or self._closed:
            return
        self._closed = True
        self._pass_on(lambda: backend.end(ending, numbers or {}, files))
        self._pass_on(None)
        thread.join(seconds)
        if thread.is_alive():
            self._abandoned = True
            backend.abandon()
            self._warn(
                f"tracking.{backend.name} did not take everything within {seconds:g} s; the"
                " training goes on without it"
            )

    def _pass_on(self, call: Callable[[], None] | None) -> None:
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            return

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            # A tracker may raise whatever its client does; none of it may end a training.
            except Exception as error:
                if self._abandoned:
                    return  # reported already
                cause = str(error).split("\n", 1)[0][:300]
                name = self._backend.name if self._backend else "tracker"
                self._warn(
                    f"tracking.{name} failed ({type(error).__name__}: {cause}); the training goes"
                    " on without it, its reports are in the artifact"
                )
                return
