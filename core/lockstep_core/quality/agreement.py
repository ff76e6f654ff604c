"""Do two answers agree? What counts as rounding, for each kind of artifact, in one table.

A golden answer is compared with the one that was published: another processor, thread count or
order of sums moves an answer a little, another encoder or index by far more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lockstep_core.protocol.artifacts import ArtifactKind

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tolerance:
    """How far rounding may move an answer.

    `coordinate` is the largest difference of a coordinate of an embedding (None: any), `cosine` the
    least cosine of two embeddings of one item, `mean_cosine` the least mean of those of all items,
    `distance` the largest difference of a neighbour's Euclidean distance, which lies in [0, 2].
    `cause` is what else than other files may have moved an answer beyond them.
    """

    coordinate: float | None
    cosine: float
    mean_cosine: float
    distance: float
    cause: str


TOLERANCES = {
    # float32 on another processor differs by about 1e-7, another encoder by 0.1.
    ArtifactKind.FLOAT32: Tolerance(
        coordinate=1e-3,
        cosine=0.9999,
        mean_cosine=0.9999,
        distance=1e-3,
        cause="a processor (CPU) or ONNX Runtime that computes something else",
    ),
    # One activation that is rounded the other way moves all that follow: a processor whose float32
    # differs in the 7th digit was seen to move a coordinate by 0.017 and one item to a cosine of
    # 0.994, while 319 of 320 neighbours stayed. Another encoder is far from all of these bounds.
    ArtifactKind.INT8: Tolerance(
        coordinate=None,
        cosine=0.98,
        mean_cosine=0.998,
        distance=0.03,
        cause="a processor (CPU) that rounds 8-bit activations in another way: run the release on"
        " the kind of node that published it, or publish it in float32 (export.int8 left out)",
    ),
}


def embedding_difference(expected: Floats, got: Floats, kind: ArtifactKind) -> str | None:
    """How the embeddings `got` [N, D] differ from the `expected` ones; None when they agree."""
    allowed = TOLERANCES[kind]
    apart = float(np.abs(got - expected).max())
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
    cosines = (got * expected).sum(axis=1) / np.maximum(norms, 1e-12)
    least, mean = float(cosines.min()), float(cosines.mean())
    near = allowed.coordinate is None or apart <= allowed.coordinate
    # Written so that NaN agrees with nothing.
    if near and least >= allowed.cosine and mean >= allowed.mean_cosine:
        return None
    bound = "" if allowed.coordinate is None else f" (at most {allowed.coordinate} is allowed)"
    return (
        f"differ by {apart:.3g}{bound}, least cosine {least:.6f} (at least {allowed.cosine}), mean"
        f" {mean:.6f} (at least {allowed.mean_cosine})"
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
