"""Small streams of embeddings, and the sketches that pods make of them. Nothing here is a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from lockstep_core.drift.accumulator import Accumulator
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.features import Features, of_embeddings
from lockstep_core.drift.sketch import Sketch, Span, merge_all
from lockstep_core.drift.sketch_wire import sketch_from_wire, sketch_to_wire
from lockstep_core.drift.tracking import TrackingState, begin, step
from lockstep_core.protocol.drift import Parameters
from lockstep_core.protocol.monitoring import TrafficRole

DIM, SIZE, SECONDS = 24, 128, 300
KEY = "11111111-2222"


def draw(rng: np.random.Generator, n: int, shift: float = 0.0) -> np.ndarray:
    """Unit vectors about eight centres; `shift` moves all of them one way."""
    centres = np.random.default_rng(7).standard_normal((8, DIM))
    x = centres[rng.integers(0, 8, n)] + 0.6 * rng.standard_normal((n, DIM))
    x[:, 0] += shift * 6
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@cache
def features() -> Features:
    rng = np.random.default_rng(3)
    return of_embeddings(draw(rng, 2000), rng, size=SIZE, space_id="0123456789ab")


def sketch_of(
    rows: np.ndarray, window: int, bets: Iterable[Bet] = (), role: str = "Query", seed: int = 0
) -> Sketch:
    """As a pod makes it, and as it comes over the wire."""
    pod = Accumulator(
        features(),
        Span(window, SECONDS),
        np.random.default_rng(seed),
        role=role,
        bets=[bet for bet in bets if bet.role == role],
    )
    pod.add(rows)
    return sketch_from_wire(sketch_to_wire(pod.sketch()))


@dataclass
class Stream:
    """Pods that serve one release, and a tracker that is told of each window."""

    parameters: Parameters = field(
        default_factory=lambda: Parameters("glyphs-r1", baseline_windows=8, budget_windows=100.0)
    )
    n: int = 400
    pods: int = 2
    window: int = 1000
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))
    placed: dict[int, tuple[Bet, ...]] = field(default_factory=dict)
    state: TrackingState | None = None

    def next(self, shift: float = 0.0, n: int | None = None, invalid: int = 0) -> TrackingState:
        """One more window, with the bets that were placed before it began."""
        state = self.state or begin(KEY, self.parameters)
        sketches = self.sketches(shift, self.n if n is None else n, invalid)
        self.state = step(state, self.window, sketches, self.parameters)
        self.placed[self.window + 2] = self.state.coming_bets
        self.window += 1
        return self.state

    def sketches(self, shift: float, n: int, invalid: int) -> Mapping[TrafficRole, Sketch]:
        if n == 0:
            return {}
        bets = self.placed.get(self.window, ())
        parts = []
        for pod in range(self.pods):
            rows = draw(self.rng, n // self.pods, shift)
            if pod == 0 and invalid:
                rows = np.concatenate([rows, np.full((invalid, DIM), np.nan, np.float32)])
            parts.append(sketch_of(rows, self.window, bets, seed=pod))
        return {TrafficRole.QUERY: merge_all(parts)}

    def run(self, windows: int, shift: float = 0.0) -> TrackingState:
        for _ in range(windows):
            self.next(shift)
        assert self.state is not None
        return self.state

    @property
    def report(self):  # type: ignore[no-untyped-def]
        assert self.state is not None
        return self.state.reports[0]
