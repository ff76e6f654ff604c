"""A work queue of keys with client-go's contract, and a lane that keeps resyncs out of the way.

A key is at most once in the queue and at most once in a worker's hands. An add while a worker has
it marks it dirty, and it comes back when the worker is done, so no change is lost and no two
workers decide for one pair. Failures back off per key. (client-go util/workqueue.)
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from lockstep_operator.runtime import metrics


class Key(NamedTuple):
    """One EmbeddingModel with all that belongs to it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Lane(StrEnum):
    """Which keys a worker takes first."""

    FRESH = "fresh"
    RESYNC = "resync"


class ShutDown(Exception):
    """The queue hands out no more keys."""


class WorkQueue:
    """Keys to reconcile. All methods belong to the event loop's thread."""

    def __init__(
        self,
        *,
        base_delay: float = 0.005,
        max_delay: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._clock = clock
        self._ready: dict[Lane, OrderedDict[Key, float]] = {lane: OrderedDict() for lane in Lane}
        self._processing: set[Key] = set()
        self._dirty: dict[Key, tuple[Lane, float]] = {}
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._available = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    def add(self, key: Key, *, lane: Lane = Lane.FRESH) -> None:
        """Asks for a reconcile. A fresh change lifts a key out of the resync lane."""
        if self._stopping:
            return
        now = self._clock()
        if key in self._processing:
            earlier_lane, since = self._dirty.get(key, (lane, now))
            urgent = Lane.FRESH if Lane.FRESH in (lane, earlier_lane) else Lane.RESYNC
            self._dirty[key] = (urgent, since)
            return
        if key in self._ready[Lane.FRESH]:
            return
        if lane is Lane.FRESH:
            now = self._ready[Lane.RESYNC].pop(key, now)
        self._ready[lane].setdefault(key, now)
        self._changed()

    def add_after(self, key: Key, delay: float) -> None:
        """Asks for a reconcile in `delay` seconds; the earliest of several asks counts."""
        if self._stopping:
            return
        if delay <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        earlier = self._timers.get(key)
        if earlier is not None:
            if earlier.when() <= loop.time() + delay:
                return
            earlier.cancel()
        self._timers[key] = loop.call_later(delay, self._fire, key)

    def add_rate_limited(self, key: Key, *, at_least: float = 0.0) -> float:
        """Asks again after this key's backoff. Returns the seconds of the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # 2**16 times the base is past any cap in use: no overflow after days of failures.
        delay = min(self._base_delay * 2.0 ** min(failures, 16), self._max_delay)
        delay = max(delay, at_least)
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """Ends the key's backoff: it succeeded, or it is gone."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """Failures in a row."""
        return self._failures.get(key, 0)

    async def get(self) -> Key:
        """The next key; the caller owns it until `done`. Raises `ShutDown`."""
        while not self._stopping:
            for lane, keys in self._ready.items():
                if keys:
                    key, since = keys.popitem(last=False)
                    self._processing.add(key)
                    self._idle.clear()
                    waited = self._clock() - since
                    metrics.QUEUE_WAIT_SECONDS.labels(lane=lane).observe(waited)
                    self._measure()
                    return key
            self._available.clear()
            await self._available.wait()
        raise ShutDown

    def done(self, key: Key) -> None:
        """Gives the key back; it returns to the queue when it became dirty meanwhile."""
        self._processing.discard(key)
        dirty = self._dirty.pop(key, None)
        if dirty is not None:
            lane, since = dirty
            self._ready[lane].setdefault(key, since)
            self._changed()
        if not self._processing:
            self._idle.set()

    def shut_down(self) -> None:
        """Hands out no more keys; those in workers' hands are finished by their workers."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._changed()

    async def drained(self) -> None:
        """Returns when no worker holds a key."""
        await self._idle.wait()

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._ready.values())

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _changed(self) -> None:
        self._measure()
        self._available.set()

    def _measure(self) -> None:
        for lane, keys in self._ready.items():
            metrics.QUEUE_DEPTH.labels(lane=lane).set(len(keys))
