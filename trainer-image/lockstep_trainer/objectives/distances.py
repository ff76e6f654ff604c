"""Distances of L2-normalised embeddings, by pairs and by matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from lockstep_core.protocol.training import Distance

# Below it a Euclidean distance has no useful direction: its gradient is zero instead of infinite.
SMALLEST_SQUARE = 1e-12
COINCIDE = SMALLEST_SQUARE**0.5 * 1.0001


def pair_distance(left: Tensor, right: Tensor, distance: Distance) -> Tensor:
    """Distance of each pair of rows, [N, D] and [N, D] -> [N]."""
    if distance is Distance.COSINE:
        return 1.0 - (left * right).sum(dim=1)
    squares = (left - right).square().sum(dim=1)
    if distance is Distance.SQUARED_EUCLIDEAN:
        return squares
    return squares.clamp(min=SMALLEST_SQUARE).sqrt()


def distance_matrix(left: Tensor, right: Tensor, distance: Distance) -> Tensor:
    """Distance of all pairs of rows, [A, D] and [R, D] -> [A, R]."""
    return factored_distance(*distance_factors(left, right, distance), distance)


def distance_factors(left: Tensor, right: Tensor, distance: Distance) -> tuple[Tensor, Tensor]:
    """[A, D + 2] and [R, D + 2], whose one product holds all of |x|^2 - 2 x y + |y|^2.

    Vectors are taken around the mean of `right`: where embeddings nearly coincide, products of
    unit vectors would lose the digits that tell them apart. For the cosine, [.., D + 1], 1 - x y.
    """
    if distance is Distance.COSINE:
        return _beside(-left, left.new_ones(len(left))), _beside(right, right.new_ones(len(right)))
    centre = right.detach().mean(dim=0)
    here, there = left - centre, right - centre
    here = _beside(here * -2.0, here.square().sum(dim=1), here.new_ones(len(here)))
    there = _beside(there, there.new_ones(len(there)), there.square().sum(dim=1))
    return here, there


def factored_distance(
    left: Tensor, right: Tensor, distance: Distance, *, out: Tensor | None = None
) -> Tensor:
    """Distances [A, R] of what `distance_factors` gave; `out`, only without a graph, takes them."""
    product = left @ right.T if out is None else torch.mm(left, right.T, out=out)
    if distance is Distance.COSINE:
        return product
    if distance is Distance.SQUARED_EUCLIDEAN:
        return product.clamp_(min=0.0)
    return product.clamp_(min=SMALLEST_SQUARE).sqrt_()


def _beside(vectors: Tensor, *columns: Tensor) -> Tensor:
    return torch.cat([vectors, *(column[:, None] for column in columns)], dim=1)
