"""Watches what plans ask to watch: one task a policy, which looks once a window.

A look ends with a report, which wakes the model: the next pass tells it. Nothing is read, written
or told between.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockstep_core.protocol.drift import DriftReport
from lockstep_core.protocol.monitoring import MAX_BETS, window_of
from lockstep_operator.decide.snapshot.drift import DriftWatch
from lockstep_operator.runtime.client import Api
from lockstep_operator.runtime.drift_metrics import SERIES, Watched
from lockstep_operator.runtime.drift_store import DriftStore, Place
from lockstep_operator.runtime.monitors import Monitors
from lockstep_operator.runtime.probing import ProbeError
from lockstep_operator.runtime.queue import Key

if TYPE_CHECKING:
    from lockstep_operator.runtime.drift_stream import Stream

GRACE_SECONDS = 2.0
"""From the end of a window to the question: pods close it a moment after it ended."""
SPREAD = 0.05
"""Of a window: policies ask at different moments."""
AT_ONCE = 16

logger = logging.getLogger(__name__)


@dataclass
class _Entry:
    """One policy: what is asked now, what was seen last, and the task that looks."""

    watch: DriftWatch
    stream: Stream | None = None
    report: DriftReport | None = None
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class DriftWatcher:
    """`wake` asks for another pass of a model; `unix` gives the time in seconds."""

    def __init__(
        self,
        api: Api,
        monitors: Monitors,
        *,
        wake: Callable[[Key], None],
        unix: Callable[[], float],
        at_once: int = AT_ONCE,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._api = api
        self._monitors = monitors
        self._wake = wake
        self._unix = unix
        self._grace = grace
        self._slots = asyncio.Semaphore(at_once)
        self._entries: dict[Key, dict[str, _Entry]] = {}

    def reports(self, key: Key) -> Mapping[str, DriftReport]:
        """What was seen last for each policy of a model, by its uid."""
        entries = self._entries.get(key, {}).items()
        return {uid: entry.report for uid, entry in entries if entry.report is not None}

    def follow(self, key: Key, watches: tuple[DriftWatch, ...]) -> None:
        """Watches these, and no others of this model. Never blocks."""
        asked = {watch.uid: watch for watch in watches}
        known = self._entries.get(key, {})
        for uid in [uid for uid in known if uid not in asked]:
            self._stop(known.pop(uid), uid)
        if not asked:
            self._entries.pop(key, None)
            return
        entries = self._entries.setdefault(key, known)
        for uid, watch in asked.items():
            entry = entries.get(uid)
            if entry is None:
                entry = entries[uid] = _Entry(watch)
                entry.task = asyncio.create_task(self._run(key, entry), name=f"drift-{uid}")
            elif entry.watch.parameters != watch.parameters:
                entry.watch = watch
                entry.changed.set()
            entry.watch = watch

    async def close(self) -> None:
        """Ends what is under way."""
        entries = [(uid, e) for known in self._entries.values() for uid, e in known.items()]
        self._entries.clear()
        for uid, entry in entries:
            self._stop(entry, uid)
        tasks = [entry.task for _, entry in entries if entry.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._monitors.close()

    def _stop(self, entry: _Entry, uid: str) -> None:
        SERIES.forget(uid)
        if entry.task is not None:
            entry.task.cancel()

    async def _run(self, key: Key, entry: _Entry) -> None:
        """Until it is cancelled. A defect of one look is logged, and the next one comes."""
        seen: tuple[object, int] | None = None
        entry.stream = stream = self._stream(key, entry.watch)
        self._note(key, entry, await stream.load(entry.watch))
        while True:
            entry.changed.clear()
            closed = self._closed(entry.watch)
            identity = (entry.watch.parameters, closed)
            if identity != seen:
                await self._look(key, entry, stream, closed)
                seen = identity
            await self._sleep(entry)

    async def _look(self, key: Key, entry: _Entry, stream: Stream, closed: int) -> None:
        watch = entry.watch
        async with self._slots:
            try:
                report = await stream.look(watch, closed)
                await self._place_bets(key, watch)
            except Exception:
                logger.exception("drift look crashed", extra={"policy": watch.policy})
                return
        self._note(key, entry, report)

    def _note(self, key: Key, entry: _Entry, report: DriftReport | None) -> None:
        if report is None:
            return
        entry.report = report
        SERIES.note(entry.watch.uid, Watched(key.namespace, key.name, entry.watch.policy, report))
        self._wake(key)

    async def _place_bets(self, key: Key, watch: DriftWatch) -> None:
        """Those of all policies of the model: what is put replaces what the pods had."""
        from lockstep_operator.runtime.drift_stream import bets_request

        # By name: the policies whose bets find no room are those that say so (`drift_watches`).
        entries = sorted(self._entries.get(key, {}).values(), key=lambda e: e.watch.policy)
        streams = [entry.stream for entry in entries if entry.stream is not None]
        held = [stream.bets for stream in streams]
        digest = next((found for found, bets in held if bets), "")
        bets = [bet for found, own in held if found == digest for bet in own]
        if not bets:
            return
        if len(bets) > MAX_BETS:
            logger.warning("more bets than pods take", extra={"model": str(key), "bets": len(bets)})
        request = bets_request(digest, bets[:MAX_BETS])
        done = await asyncio.gather(
            *(self._monitors.put_bets(target, request) for target in watch.targets),
            return_exceptions=True,
        )
        for error in done:
            # A pod without the bet bets nothing: the evidence stays valid, and grows later.
            if isinstance(error, ProbeError):
                logger.warning("bets not placed", extra={"model": str(key), "error": str(error)})
            elif isinstance(error, BaseException):
                raise error

    def _stream(self, key: Key, watch: DriftWatch) -> Stream:
        # numpy is imported with the first policy: an operator without any does without it.
        from lockstep_operator.runtime.drift_stream import Stream

        place = Place(key.namespace, key.name, watch.policy, watch.uid)
        return Stream(watch.uid, DriftStore(self._api, place), self._monitors)

    def _closed(self, watch: DriftWatch) -> int:
        """The last window that all pods have closed by now."""
        moment = self._unix() - self._delay(watch)
        return window_of(moment, watch.parameters.window_seconds) - 1

    def _delay(self, watch: DriftWatch) -> float:
        spread = zlib.crc32(watch.uid.encode()) % 1000 / 1000
        return self._grace + SPREAD * watch.parameters.window_seconds * spread

    async def _sleep(self, entry: _Entry) -> None:
        """Until the next window has closed, or something else is asked."""
        watch = entry.watch
        seconds = watch.parameters.window_seconds
        due = (self._closed(watch) + 2) * seconds + self._delay(watch)
        try:
            await asyncio.wait_for(entry.changed.wait(), max(0.05, due - self._unix()))
        except TimeoutError:
            return
