"""From a batch to its triplets, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lockstep_core.protocol.training import MiningStrategy
from lockstep_trainer.mining.batch_hard import batch_hard
from lockstep_trainer.mining.comparison import Comparison
from lockstep_trainer.mining.distance_weighted import distance_weighted
from lockstep_trainer.mining.random import random_negatives
from lockstep_trainer.mining.rows import Rows, Rule
from lockstep_trainer.mining.semi_hard import semi_hard

RULES: dict[MiningStrategy, Rule] = {
    MiningStrategy.RANDOM: random_negatives,
    MiningStrategy.SEMI_HARD: semi_hard,
    MiningStrategy.BATCH_HARD: batch_hard,
    MiningStrategy.DISTANCE_WEIGHTED: distance_weighted,
}
"""The rules that choose single triplets; the others average over `WINDOWS`."""


@dataclass(frozen=True)
class Triplets:
    """Anchors by their row in the batch, the others by their place among the references, int64 [T]
    each."""

    anchors: Tensor
    positives: Tensor
    negatives: Tensor

    def __len__(self) -> int:
        return len(self.anchors)


def mine(
    comparison: Comparison,
    strategy: MiningStrategy,
    generator: torch.Generator,
    *,
    skip: int = 0,
    anchors_per_chunk: int | None = None,
) -> Triplets:
    """Chooses the triplets of one batch; no gradient flows through the choice.

    Args:
        comparison: L2-normalised embeddings, float32.
        strategy: one of `RULES`.
        generator: on the embeddings' device; what rules of chance draw from.
        skip: the nearest negatives of each anchor that do not count.
        anchors_per_chunk: bounds the memory at about 40 x anchors_per_chunk x R bytes; None: what
            keeps it below 40 MB up to R = 65,536.
    """
    rule = RULES[strategy]
    with torch.no_grad():
        still = comparison.detached()
        parts = []
        for chunk in still.chunks(anchors_per_chunk):
            anchors, positives, negatives = rule(Rows.of(still, chunk, skip=skip), generator)
            parts.append((anchors + chunk.start, positives, negatives))
        return Triplets(*(torch.cat(part) for part in zip(*parts, strict=True)))
