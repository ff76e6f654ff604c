"""Keeps a worker running. A container that ends makes its pod unready, and with it the encoder: so
the process that the kubelet sees ends on its signal alone, and imports next to nothing."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
# A worker that lived this long has nothing to do with why the last one ended.
SETTLED_SECONDS = 60.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Supervisor:
    """Runs `work` in a child process, again and again, until SIGTERM or SIGINT."""

    def __init__(self, work: Callable[[], int]) -> None:
        self._work = work
        self._stopping = False
        self._child = 0

    def run(self) -> int:
        for number in _SIGNALS:
            signal.signal(number, self._stop)
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping:
            begun = time.monotonic()
            self._start()
            _, status = os.waitpid(self._child, 0)
            self._child = 0
            if self._stopping:
                break
            if time.monotonic() - begun > SETTLED_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            code = os.waitstatus_to_exitcode(status)
            logger.error("the worker ended (%d): another one in %g s", code, pause)
            self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return 0

    def _start(self) -> None:
        # A signal between the fork and the note of the child would reach nobody.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        child = os.fork()
        if child == 0:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os._exit(_guarded(self._work))
        self._child = child
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        if self._child:
            os.kill(self._child, signal.SIGTERM)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < end:
            time.sleep(0.1)


def _guarded(work: Callable[[], int]) -> int:
    try:
        return work()
    except BaseException:
        logger.exception("the worker failed")
        return 70
