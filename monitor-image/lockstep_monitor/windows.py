"""The windows of a monitor: one is filled, the last ones are kept. Time is an argument.

A row belongs to the window in which it is read from the socket, by this process's clock: an encoder
sends within two seconds. A clock that steps back fills the open window on; none is opened twice.

The thread that reads the socket fills and closes; any thread asks what is closed and places bets.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift.accumulator import Accumulator
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.features import Features
from lockstep_core.drift.sketch import Sketch, Span
from lockstep_core.protocol.monitoring import KEPT_WINDOWS, Header, TrafficRole, window_of
from lockstep_monitor.closed import Closed, closed
from lockstep_monitor.keeping import Kept
from lockstep_monitor.totals import Totals

logger = logging.getLogger(__name__)

MAX_KEPT_BYTES = 16 * 1024 * 1024
"""Of all kept sketches: of wide embeddings fewer windows are kept."""

BetKey = tuple[str, str]


class Windows:
    """Of one model's features. `clock` gives Unix seconds."""

    def __init__(
        self,
        features: Features,
        *,
        seconds: int,
        unit_norm: bool,
        clock: Callable[[], float],
        rng: np.random.Generator,
        tell: Callable[[Sequence[Sketch]], None] = lambda sketches: None,
        kept: int = KEPT_WINDOWS,
        files: Kept | None = None,
    ) -> None:
        self.features = features
        self._seconds = seconds
        self._unit_norm = unit_norm
        self._clock = clock
        self._rng = rng
        self._tell = tell
        self._kept = kept
        self._lock = threading.Lock()
        self._open = window_of(clock(), seconds)
        self._filled: dict[TrafficRole, Accumulator] = {}
        self._totals = Totals()
        self._files = files
        self._ring: deque[Closed] = deque(files.load() if files else ())
        self._bytes = sum(len(each.wire) for each in self._ring)
        if self._ring:
            self._open = max(self._open, self._ring[-1].window + 1)
            self._forget()
        # What was asked for last, with the first window that it may hold for; and what holds.
        self._asked: dict[BetKey, tuple[int, Bet]] = {}
        self._current: dict[BetKey, Bet] = {}

    @property
    def open_window(self) -> int:
        """The window that is being filled."""
        return self._open

    def add(self, header: Header, rows: NDArray[np.float32]) -> None:
        """Sums `rows` [count, dimension] up, which are of these features and this dimension."""
        self.roll()
        filled = self._filled.get(header.role)
        if filled is None:
            filled = self._filled[header.role] = self._accumulator(header.role)
        passed, dropped = self._totals.since(header)
        if passed:
            filled.skipped(passed)
        if dropped:
            filled.dropped(dropped)
        filled.add(rows)

    def roll(self) -> None:
        """Closes the open window when its time is over."""
        now = window_of(self._clock(), self._seconds)
        if now <= self._open:
            return
        # What takes long is done before anybody else waits for the lock.
        made = [closed(filled.sketch()) for filled in self._filled.values()]
        for each in made:
            if self._files:
                self._files.put(each)
        with self._lock:
            for each in made:
                self._ring.append(each)
                self._bytes += len(each.wire)
            self._open = now
            self._forget()
            self._current = {
                key: bet if first <= now else self._current[key]
                for key, (first, bet) in self._asked.items()
                if first <= now or key in self._current
            }
        self._filled = {}
        self._tell([each.sketch for each in made])

    def closed_after(self, window: int, most: int) -> tuple[int, list[Closed]]:
        """The open window, and closed ones with a number above `window`, oldest first: those of
        `most` numbers at most."""
        with self._lock:
            later = [each for each in self._ring if each.window > window]
            numbers = sorted({each.window for each in later})[:most]
            return self._open, [each for each in later if each.window in numbers]

    def last(self, most: int) -> list[Closed]:
        """The newest closed windows, oldest first."""
        with self._lock:
            return list(self._ring)[-most:]

    def place(self, bets: Sequence[Bet]) -> dict[BetKey, int]:
        """Replaces all bets; returns the first window of each, which has not begun yet.

        A bet that waits for its window leaves the one before it in force until then; a key that is
        not among `bets` ends with the open window.
        """
        with self._lock:
            next_one = max(self._open, window_of(self._clock(), self._seconds)) + 1
            placed: dict[BetKey, tuple[int, Bet]] = {
                (bet.key, bet.role): (max(bet.from_window, next_one), bet) for bet in bets
            }
            for key, (first, bet) in self._asked.items():
                # One that was placed before keeps its window.
                if key in placed and placed[key][1].digest == bet.digest:
                    placed[key] = (first, bet)
            self._asked = placed
            return {key: first for key, (first, _) in placed.items()}

    @property
    def bets(self) -> int:
        """How many hold or wait."""
        with self._lock:
            return len(self._asked.keys() | self._current.keys())

    def _accumulator(self, role: TrafficRole) -> Accumulator:
        span = Span(self._open, self._seconds)
        with self._lock:
            bets = [bet for bet in self._current.values() if bet.role == role.value]
        return _accumulating(self.features, span, self._rng, role, self._unit_norm, bets)

    def _forget(self) -> None:
        oldest = self._open - self._kept
        while self._ring and (self._ring[0].window < oldest or self._bytes > MAX_KEPT_BYTES):
            gone = self._ring.popleft()
            self._bytes -= len(gone.wire)
            if self._files:
                self._files.drop(gone)


def _accumulating(
    features: Features,
    span: Span,
    rng: np.random.Generator,
    role: TrafficRole,
    unit_norm: bool,
    bets: Iterable[Bet],
) -> Accumulator:
    def made(these: Iterable[Bet]) -> Accumulator:
        return Accumulator(features, span, rng, role=role.value, unit_norm=unit_norm, bets=these)

    try:
        return made(bets)
    except DriftError as error:
        # A bet of nothing leaves the evidence valid; a window that is not summed up is lost.
        logger.warning("the bets of window %d are not applied: %s", span.first, error)
        return made(())
