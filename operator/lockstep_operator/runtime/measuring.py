"""Carries out what plans ask to measure, beside the reconciles, and remembers it while asked for.

Series live in memory. A measurement that ends wakes its model, and the next pass judges it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lockstep_operator.decide.snapshot.measurements import (
    Measurement,
    MeasureRequest,
    Reading,
    Scrape,
    Series,
    SeriesKey,
    Sketch,
    Unmeasured,
)
from lockstep_operator.runtime import metrics
from lockstep_operator.runtime.counting import Counting
from lockstep_operator.runtime.monitors import Monitors
from lockstep_operator.runtime.probing import ProbeError, Prober
from lockstep_operator.runtime.queue import Key

AT_ONCE = 16

logger = logging.getLogger(__name__)


@dataclass
class _Entry:
    """One series, what it counts from, and the measurement that is under way."""

    series: Series = ()
    counting: Counting = field(default_factory=Counting)
    task: asyncio.Task[None] | None = None


class Measurer:
    """`wake` asks for another pass of a model; `now` dates measurements."""

    def __init__(
        self,
        prober: Prober,
        monitors: Monitors,
        *,
        wake: Callable[[Key], None],
        now: Callable[[], datetime],
        at_once: int = AT_ONCE,
    ) -> None:
        self._prober = prober
        self._monitors = monitors
        self._wake = wake
        self._now = now
        self._slots = asyncio.Semaphore(at_once)
        self._entries: dict[Key, dict[SeriesKey, _Entry]] = {}

    def series(self, key: Key) -> Mapping[SeriesKey, Series]:
        """What was measured for a model so far."""
        return {name: entry.series for name, entry in self._entries.get(key, {}).items()}

    def follow(self, key: Key, requests: tuple[MeasureRequest, ...]) -> None:
        """Starts what is due, and forgets every series that is not asked for any more.

        A measurement is made once, however often it is asked for. Never blocks.
        """
        asked = {request.series for request in requests}
        known = self._entries.get(key, {})
        for name in [name for name in known if name not in asked]:
            _stop(known.pop(name))
        if not asked:
            self._entries.pop(key, None)
            return
        entries = self._entries.setdefault(key, known)
        for request in requests:
            entry = entries.setdefault(request.series, _Entry())
            if request.is_due and entry.task is None and request.number == len(entry.series):
                entry.task = asyncio.create_task(self._measure(key, entry, request))

    async def close(self) -> None:
        """Ends what is under way."""
        entries = [entry for known in self._entries.values() for entry in known.values()]
        tasks = [entry.task for entry in entries if entry.task is not None]
        self._entries.clear()
        for entry in entries:
            _stop(entry)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._prober.close()
        await self._monitors.close()

    async def _measure(self, key: Key, entry: _Entry, request: MeasureRequest) -> None:
        kind = type(request.what).__name__
        async with self._slots:
            try:
                reading: Reading = await self._read(entry, request)
                metrics.MEASUREMENTS.labels(kind=kind, result="measured").inc()
            except ProbeError as error:
                reading = Unmeasured(str(error))
                metrics.MEASUREMENTS.labels(kind=kind, result="failed").inc()
            except Exception as error:
                logger.exception("measurement crashed", extra={"model": str(key)})
                reading = Unmeasured(f"a defect of the operator: {type(error).__name__}")
                metrics.MEASUREMENTS.labels(kind=kind, result="failed").inc()
        entry.series = (*entry.series, Measurement(self._now(), reading))
        entry.task = None
        self._wake(key)

    async def _read(self, entry: _Entry, request: MeasureRequest) -> Reading:
        what = request.what
        if isinstance(what, Scrape):
            return entry.counting.add(await self._prober.scrape(what))
        if isinstance(what, Sketch):
            # numpy is imported with the first gate that needs it.
            from lockstep_operator.runtime.sketching import sketched

            return await sketched(self._monitors, what)
        return await self._prober.query(what)


def _stop(entry: _Entry) -> None:
    if entry.task is not None:
        entry.task.cancel()
