"""Index recall by window of time and index: one window is filled, the last ones are kept.

Any thread may call. Time is an argument.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lockstep_core.protocol.monitoring import KEPT_WINDOWS, RecallIndex, window_of
from lockstep_core.protocol.recall import RecallWindow


@dataclass
class _Filling:
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    hits: int = 0
    expected: int = 0
    asked: set[int] = field(default_factory=set)


class RecallCounts:
    """`clock` gives Unix seconds. A clock that steps back fills the open window on."""

    def __init__(
        self, k: int, *, seconds: int, clock: Callable[[], float], kept: int = KEPT_WINDOWS
    ) -> None:
        self._k = k
        self._seconds = seconds
        self._clock = clock
        self._kept = kept
        self._lock = threading.Lock()
        self._open = window_of(clock(), seconds)
        self._filled: dict[str, _Filling] = {}
        self._builds: dict[str, str] = {}
        self._ring: deque[RecallWindow] = deque()

    def is_new(self, index: RecallIndex, query: bytes) -> bool:
        """Whether this index was not asked that in this window: asked again it says the same, so it
        would make an interval narrower and nobody wiser."""
        with self._lock:
            self._roll()
            return hash(query) not in self._of(index).asked

    def add(self, index: RecallIndex, query: bytes, hits: int, expected: int) -> None:
        """One query, of whose `expected` neighbours (1 or more) `hits` came."""
        recall = hits / expected
        with self._lock:
            self._roll()
            filled = self._of(index)
            filled.asked.add(hash(query))
            filled.n += 1
            filled.total += recall
            filled.squares += recall * recall
            filled.hits += hits
            filled.expected += expected

    def closed_after(self, window: int) -> tuple[int, list[RecallWindow], list[RecallWindow]]:
        """The number of the open window, the closed ones with a number above `window`, oldest
        first, and what the open one has so far."""
        with self._lock:
            self._roll()
            closed = [each for each in self._ring if each.window > window]
            return self._open, closed, self._written()

    def _of(self, index: RecallIndex) -> _Filling:
        self._builds[index.name] = index.build_digest
        return self._filled.setdefault(index.name, _Filling())

    def _roll(self) -> None:
        now = window_of(self._clock(), self._seconds)
        if now <= self._open:
            return
        self._ring.extend(self._written())
        self._open, self._filled = now, {}
        while self._ring and self._ring[0].window < now - self._kept:
            self._ring.popleft()

    def _written(self) -> list[RecallWindow]:
        return [
            RecallWindow(
                window=self._open,
                index=name,
                build=self._builds[name],
                k=self._k,
                n=filled.n,
                mean=min(1.0, filled.total / filled.n),
                sumsq=filled.squares,
                hits=filled.hits,
                expected=filled.expected,
            )
            for name, filled in sorted(self._filled.items())
            if filled.n
        ]
