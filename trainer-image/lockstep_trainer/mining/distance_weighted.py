"""Negatives drawn so that all distances are equally likely."""

from __future__ import annotations

import torch
from torch import Tensor

from lockstep_trainer.mining.rows import Choice, Rows

NEAREST = 0.5
"""Nearer negatives weigh as if they were here: the rarest would otherwise outweigh all others."""

FARTHEST = 1.4
"""Farther ones are not drawn: their loss is zero."""


def distance_weighted(rows: Rows, generator: torch.Generator) -> Choice:
    """One triplet for each anchor and positive, drawn with replacement.

    A negative at distance d is drawn in proportion to 1/q(d), where q is the density of distances
    between random points of the unit sphere (Wu et al., Sampling Matters in Deep Embedding
    Learning, arXiv 1706.07567). An anchor whose negatives are all beyond `FARTHEST` takes any.
    """
    mass = _weights(rows).cumsum(dim=1)
    total = mass[:, -1:].contiguous()
    chance = torch.rand(rows.columns.shape, generator=generator, device=rows.near.device)
    # Right of equal sums: a negative of weight zero adds nothing, so it is never found.
    drawn = torch.searchsorted(mass, chance * total, right=True)
    return rows.pairs(torch.minimum(drawn, torch.searchsorted(mass, total)))


def _weights(rows: Rows) -> Tensor:
    """1/q(d) of each negative, relative to the greatest of its row; 0 elsewhere, [A, R]."""
    squares = (2.0 - 2.0 * rows.near).clamp(min=NEAREST**2)
    open_to = (rows.near != -torch.inf) & (squares < FARTHEST**2)
    squares = squares.clamp(max=FARTHEST**2)
    logarithm = (2.0 - rows.dimension) / 2.0 * squares.log()
    logarithm -= (rows.dimension - 3.0) / 2.0 * torch.log1p(-squares / 4.0)
    logarithm = logarithm.masked_fill(~open_to, -torch.inf)
    greatest = logarithm.amax(dim=1, keepdim=True)
    weights = (logarithm - greatest).exp()
    none_open = ~open_to.any(dim=1, keepdim=True)
    return torch.where(none_open, (rows.near != -torch.inf).to(weights.dtype), weights)
