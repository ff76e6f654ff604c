"""Gauges of the shape of a window's embeddings, which see a collapse that MMD misses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep_core.drift.sketch import Sketch

Gauge = str
GAUGES = ("meanCosine", "participationRatio", "effectiveRank", "normMean", "normDeviation")


@dataclass(frozen=True)
class Bands:
    """1 % and 99 % of each gauge at 512 embeddings."""

    bands: Mapping[Gauge, tuple[float, float]]


def read(sketch: Sketch) -> dict[Gauge, float]:
    """The gauges that this sketch has: none below 512 embeddings."""
    raise NotImplementedError


@dataclass(frozen=True)
class GeometryState:
    """Windows in a row that each gauge was outside of its band."""

    outside: Mapping[Gauge, int]

    def violations(self) -> tuple[Gauge, ...]:
        raise NotImplementedError


def step(state: GeometryState, gauges: Mapping[Gauge, float], bands: Bands) -> GeometryState:
    raise NotImplementedError
