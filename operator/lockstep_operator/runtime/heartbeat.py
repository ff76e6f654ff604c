"""Whether the main event loop turns, for threads that live outside of it."""

from __future__ import annotations

import asyncio
import time

from lockstep_operator.runtime import metrics

INTERVAL = 0.25


class Heartbeat:
    """Ticks on the main loop. `age` may be asked from any thread."""

    def __init__(self) -> None:
        self._last: float | None = None

    async def run(self) -> None:
        """Ticks until cancelled, and measures how late each tick came."""
        while True:
            due = time.monotonic() + INTERVAL
            self._last = due - INTERVAL
            await asyncio.sleep(INTERVAL)
            metrics.LOOP_LAG_SECONDS.observe(max(0.0, time.monotonic() - due))

    def stop(self) -> None:
        """The main loop ends on purpose: from here on its silence means nothing."""
        self._last = None

    def age(self) -> float:
        """Seconds since the last tick; 0 while no main loop is meant to run."""
        last = self._last
        return 0.0 if last is None else time.monotonic() - last
