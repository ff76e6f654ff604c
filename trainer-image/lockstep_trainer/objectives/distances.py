"""Distances of L2-normalised embeddings, by pairs and by matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from lockstep_core.protocol.training import Distance

# Below it a Euclidean distance has no useful direction: its gradient is zero instead of infinite.
SMALLEST_SQUARE = 1e-12


def pair_distance(left: Tensor, right: Tensor, distance: Distance) -> Tensor:
    """Distance of each pair of rows, [N, D] and [N, D] -> [N]."""
    if distance is Distance.COSINE:
        return 1.0 - (left * right).sum(dim=1)
    squares = (left - right).square().sum(dim=1)
    if distance is Distance.SQUARED_EUCLIDEAN:
        return squares
    return squares.clamp(min=SMALLEST_SQUARE).sqrt()


def distance_matrix(left: Tensor, right: Tensor, distance: Distance) -> Tensor:
    """Distance of all pairs of rows, [A, D] and [R, D] -> [A, R].

    One matrix product. It is taken around the mean of `right`: where embeddings nearly coincide,
    products of unit vectors would lose the digits that tell them apart.
    """
    if distance is Distance.COSINE:
        return (left @ right.T).neg().add(1.0)
    centre = right.detach().mean(dim=0)
    here, there = left - centre, right - centre
    squares = torch.addmm(there.square().sum(dim=1), here, there.T, alpha=-2.0)
    squares = squares.add_(here.square().sum(dim=1, keepdim=True))
    if distance is Distance.SQUARED_EUCLIDEAN:
        return squares.clamp_(min=0.0)
    return squares.clamp_(min=SMALLEST_SQUARE).sqrt_()
