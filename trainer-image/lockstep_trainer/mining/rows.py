"""What a rule of mining sees: some anchors and all that they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lockstep_trainer.mining.comparison import Comparison

Choice = tuple[Tensor, Tensor, Tensor]
"""Anchors (rows), positives and negatives (columns), int64 [T] each, by anchor, then positive."""

Rule = Callable[["Rows", torch.Generator], Choice]
"""Chooses triplets; a rule without chance leaves the generator alone."""


@dataclass(frozen=True)
class Rows:
    """A anchors against R references of `dimension` coordinates.

    `near`: float32 [A, R], cosine similarity to the negatives, -inf to all others. `columns`:
    int64 [A, W], the peers of each anchor (see `Peers`); `to_positive`: float32 [A, W], the
    similarity to them; `positive`: bool [A, W], which of them count; none does for an anchor
    without a negative. `negatives`: int64 [A], how many there are.

    Embeddings are L2-normalised, so every distance is a decreasing function of the similarity and
    one order serves them all. Equal similarities go to the item that comes first.
    """

    near: Tensor
    columns: Tensor
    to_positive: Tensor
    positive: Tensor
    negatives: Tensor
    dimension: int

    @classmethod
    def of(cls, comparison: Comparison, chunk: slice, *, skip: int = 0) -> Rows:
        """The anchors of `chunk`, without the `skip` nearest negatives of each."""
        peers = comparison.peers
        columns = peers.columns[chunk]
        near = comparison.vectors[chunk] @ comparison.references.T
        to_positive = near.gather(1, columns)
        near.scatter_(1, columns, -torch.inf)
        for _ in range(skip):
            near.scatter_(1, near.argmax(dim=1, keepdim=True), -torch.inf)
        negatives = (peers.negatives[chunk] - skip).clamp(min=0)
        positive = peers.positive[chunk] & (negatives > 0)[:, None]
        return cls(near, columns, to_positive, positive, negatives, comparison.vectors.shape[1])

    def pairs(self, chosen: Tensor) -> Choice:
        """One triplet for each anchor and positive; `chosen`: int64 [A, W], the negatives."""
        anchors, slots = self.positive.nonzero(as_tuple=True)
        return anchors, self.columns[anchors, slots], chosen[anchors, slots]
