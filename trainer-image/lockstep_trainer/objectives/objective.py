"""The objective of a batch, the seam between the training loop and the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.losses import triplet_loss
from lockstep_trainer.mining import mine


@dataclass(frozen=True)
class Outcome:
    """What one batch gave.

    `loss`: differentiable scalar. `active`: share of the terms that still teach, 0..1, a scalar on
    the device. `skipped`: anchors without a positive or without a negative.
    """

    loss: Tensor
    active: Tensor
    skipped: int


class Objective(nn.Module):
    """A loss over a batch. What it learns are its parameters and what it remembers is in its
    `state_dict()`, so weights and state are all that a checkpoint needs."""

    def __init__(self, spec: TrainingSpec) -> None:
        super().__init__()
        self._spec = spec

    def forward(self, embeddings: Tensor, labels: Tensor, items: Tensor) -> Outcome:
        """Loss of `embeddings` [B, D] of unit norm.

        Args:
            embeddings: computed with in float32 whatever their type.
            labels: int64 [B], the class of each row.
            items: int64 [B], which item each row holds: rows of one item are no positive pair.
        """
        triplets = mine(embeddings, labels, self._spec.mining.strategy, items=items)
        loss = triplet_loss(embeddings, triplets, self._spec.loss)
        return Outcome(loss.value, loss.active, triplets.skipped)

    if TYPE_CHECKING:  # nn.Module declares it as returning Any

        def __call__(self, embeddings: Tensor, labels: Tensor, items: Tensor) -> Outcome: ...


def build_objective(spec: TrainingSpec, *, classes: int, seed: int) -> Objective:
    """The objective of a spec; `classes` is the number of different labels, codes 0..classes-1.

    The same arguments give the same parameters bit for bit, whatever ran before.
    """
    return Objective(spec)
