"""Pairs alone: items of a class should coincide, others be a margin apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lockstep_core.protocol.training import LossSpec
from lockstep_trainer.mining import Comparison
from lockstep_trainer.objectives.chunking import summed
from lockstep_trainer.objectives.distances import COINCIDE, distance_matrix
from lockstep_trainer.objectives.outcome import Outcome


class Contrastive(nn.Module):
    """Mean d(a, p) of positive pairs + mean max(0, margin - d(a, n)) of negative pairs.

    Both are means over the pairs whose term is not zero (Hadsell et al., Dimensionality Reduction
    by Learning an Invariant Mapping, 2006, without the squares).

    Relations: asks for the same distance in every class, dense or wide; `Triplet` compares
    distances of one anchor, so each class may have a scale of its own.

    Example:
        loss: {name: Contrastive, margin: "0.8"}
    """

    def __init__(self, loss: LossSpec) -> None:
        super().__init__()
        self._margin, self._metric = loss.number("margin"), loss.metric()

    def forward(self, comparison: Comparison) -> Outcome:
        peers = comparison.peers

        def part(vectors: Tensor, references: Tensor, chunk: slice) -> Tensor:
            distances = distance_matrix(vectors, references, self._metric)
            columns = peers.columns[chunk]
            pull = distances.gather(1, columns) * peers.positive[chunk]
            push = (self._margin - distances).clamp(min=0.0).scatter(1, columns, 0.0)
            pulled, pushed = pull.detach() > COINCIDE, push.detach() > 0
            return torch.stack([pull.sum(), push.sum(), pulled.sum(), pushed.sum()])

        pull, push, pulled, pushed = summed(part, comparison).unbind()
        pairs = peers.positive.sum() + peers.negatives.sum()
        return Outcome(
            pull / pulled.clamp(min=1.0) + push / pushed.clamp(min=1.0),
            ((pulled + pushed) / pairs.clamp(min=1)).detach(),
            int((~comparison.usable()).sum()),
        )
