"""What long work is doing: a bar on a terminal, JSON lines in a log, `/progress` and `/metrics`.

Progress never fails the work: a port that is taken is a warning.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from lockstep_core.jobs.metrics import JobMetrics
from lockstep_core.jobs.server import serve
from lockstep_core.protocol.progress import Phase, Progress

log = logging.getLogger(__name__)

LINE_SECONDS = 5.0
BAR_SECONDS = 0.1
BAR_WIDTH = 28
MAX_WARNINGS = 32


class Reporter:
    """Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        program: str,
        release: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._terminal = self._stream.isatty()
        self._clock = clock
        self._lock = threading.Lock()
        self._metrics = JobMetrics(program, release)
        self._phase_began, self._phase_done = clock(), 0
        self._shown_at = -math.inf
        self._bar_open = False
        self._progress = Progress(program=program, release=release, phase=Phase.STARTING)

    @property
    def progress(self) -> Progress:
        """The latest report."""
        with self._lock:
            return self._progress

    def report(self, phase: Phase, done: int = 0, total: int = 0, **metrics: float) -> None:
        """`done` of `total` units of `phase`; `metrics` stay until they are given anew.

        Rate and remaining time are those of the phase since it began. Metrics that are not finite
        are left out: JSON has no word for them.
        """
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        with self._lock:
            now = self._clock()
            before = self._progress
            changed = phase is not before.phase
            if changed:
                # What was done before, by a pod that was lost, says nothing of this one's pace.
                self._phase_began, self._phase_done = now, done
            rate, left = _pace(done, total, done - self._phase_done, now - self._phase_began)
            self._progress = before.replace(
                phase=phase,
                done=done,
                total=total,
                items_per_second=rate,
                eta_seconds=left,
                metrics={**before.metrics, **finite},
            )
            self._metrics.update(self._progress)
            if changed or done == total > 0 or now - self._shown_at >= self._interval():
                self._shown_at = now
                self._show(changed)

    def warn(self, text: str) -> None:
        """Kept in `/progress` (the first few), and logged."""
        with self._lock:
            if len(self._progress.warnings) < MAX_WARNINGS:
                warnings = [*self._progress.warnings, text]
                self._progress = self._progress.replace(warnings=warnings)
            self._end_bar()
        log.warning("%s", text)

    def serve(self, port: int) -> int | None:
        """Serves GET /progress and /metrics in a daemon thread; the port, or None if it is taken.

        Port 0 takes any free one.
        """
        try:
            return serve(port, self._body, self._metrics.render)
        except OSError as error:
            self.warn(f"progress is not served on port {port}: {error}")
            return None

    def close(self) -> None:
        """Ends the bar's line."""
        with self._lock:
            self._end_bar()

    def _body(self) -> bytes:
        return json.dumps(self.progress.to_wire()).encode()

    def _interval(self) -> float:
        return BAR_SECONDS if self._terminal else LINE_SECONDS

    def _show(self, changed: bool) -> None:
        if not self._terminal:
            print(json.dumps(self._progress.to_wire()), file=self._stream, flush=True)
            return
        if changed:
            self._end_bar()
        self._stream.write("\r" + _bar(self._progress) + "\x1b[K")
        self._stream.flush()
        self._bar_open = True

    def _end_bar(self) -> None:
        if self._bar_open:
            self._stream.write("\n")
            self._stream.flush()
            self._bar_open = False


def _pace(done: int, total: int, fresh: int, elapsed: float) -> tuple[float | None, float | None]:
    """Units per second, of the `fresh` ones, and seconds left; None before anything is known."""
    if fresh <= 0 or elapsed <= 0:
        return None, None
    rate = fresh / elapsed
    return rate, (total - done) / rate if total >= done else None


def _bar(progress: Progress) -> str:
    text = f"{progress.phase:<11}"
    if progress.total:
        filled = min(BAR_WIDTH, BAR_WIDTH * progress.done // progress.total)
        text += f" [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {progress.done}/{progress.total}"
    if progress.eta_seconds is not None:
        text += f" {progress.eta_seconds:.0f}s left"
    shown = list(progress.metrics.items())[:4]
    return text + "".join(f" {name}={value:.4g}" for name, value in shown)
