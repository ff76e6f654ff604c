"""Do two answers agree? What counts as rounding, for each kind of artifact, in one table.

A golden answer is compared with the one that was published: another processor, thread count or
order of sums moves an answer a little, another encoder or index by far more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class ArtifactKind(StrEnum):
    """What an encoder's graph computes with: float32 throughout, or matrix products of 8 bits."""

    FLOAT32 = "Float32"
    INT8 = "Int8"


@dataclass(frozen=True)
class Tolerance:
    """How far rounding may move an answer.

    `coordinate` is the largest difference of a coordinate of an embedding, `cosine` the least
    cosine of two embeddings of one item, `distance` the largest difference of a neighbour's
    Euclidean distance, which lies in [0, 2].
    """

    coordinate: float
    cosine: float
    distance: float


# float32 on another processor differs by about 1e-6, another encoder by 0.1.
TOLERANCES = {
    ArtifactKind.FLOAT32: Tolerance(coordinate=1e-3, cosine=0.9999, distance=1e-3),
    ArtifactKind.INT8: Tolerance(coordinate=1e-3, cosine=0.9999, distance=1e-3),
}


def embedding_difference(expected: Floats, got: Floats, kind: ArtifactKind) -> str | None:
    """How the embeddings `got` [N, D] differ from the `expected` ones; None when they agree."""
    allowed = TOLERANCES[kind]
    apart = float(np.abs(got - expected).max())
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((got * expected).sum(axis=1) / np.maximum(norms, 1e-12)).min())
    if apart <= allowed.coordinate and cosine >= allowed.cosine:
        return None
    return (
        f"differ by {apart:.3g} (at most {allowed.coordinate} is allowed), least cosine"
        f" {cosine:.6f} (at least {allowed.cosine})"
    )


class Ranked(Protocol):
    """One neighbour of an item: which row, and its Euclidean distance."""

    @property
    def id(self) -> str: ...
    @property
    def distance(self) -> float: ...


def neighbour_difference(
    expected: Sequence[Ranked], got: Sequence[Ranked], kind: ArtifactKind
) -> str | None:
    """How one item's neighbours, nearest first, differ from the expected ones; None when they
    agree.

    They agree when the distances at each rank do, and the distances of each id that both have. An
    id that one of them alone has must be as far as the last rank of the other: of several equally
    far items, any may be the k-th.
    """
    allowed = TOLERANCES[kind].distance
    if len(expected) != len(got):
        return f"{len(expected)} neighbours were expected, {len(got)} came"
    for rank, (one, other) in enumerate(zip(expected, got, strict=True), start=1):
        # Written so that NaN agrees with nothing.
        if not abs(one.distance - other.distance) <= allowed:
            return (
                f"at rank {rank} {one.id} at distance {one.distance:.4f} was expected,"
                f" {other.id} at {other.distance:.4f} came"
            )
    return _other_neighbours(expected, got, allowed) if expected else None


def _other_neighbours(
    expected: Sequence[Ranked], got: Sequence[Ranked], allowed: float
) -> str | None:
    wanted = {each.id: each.distance for each in expected}
    came = {each.id: each.distance for each in got}
    for name, distance in wanted.items():
        if name not in came and distance < got[-1].distance - allowed:
            return f"{name} at distance {distance:.4f} was expected and did not come"
        if name in came and not abs(came[name] - distance) <= allowed:
            return f"{name} was expected at distance {distance:.4f} and came at {came[name]:.4f}"
    for name, distance in came.items():
        if name not in wanted and distance < expected[-1].distance - allowed:
            return f"{name} at distance {distance:.4f} came and was not expected"
    return None
