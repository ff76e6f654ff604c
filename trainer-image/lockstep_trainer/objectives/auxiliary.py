"""Terms that may be added to any loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_trainer.mining import Comparison
from lockstep_trainer.objectives.chunking import summed
from lockstep_trainer.objectives.outcome import Outcome
from lockstep_trainer.objectives.proxies import cross_entropy, unit_rows


class CrossEntropy(nn.Module):
    """Of a linear classifier of the training classes: multi-task learning.

    Relations: `ArcFace` is one of unit vectors, with a margin. The classifier is not exported.

    Example:
        loss: {name: Triplet, auxiliary: {crossEntropy: "0.5"}}
    """

    def __init__(self, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dimension, classes)

    def forward(self, comparison: Comparison) -> Outcome:
        return cross_entropy(self.classifier(comparison.vectors), comparison.labels)


class Center(nn.Module):
    """Half the mean squared distance to the learned centre of the item's class.

    Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition, 2016. The
    centres move with the optimiser, as any weight does.

    Relations: only pulls, so it needs a loss that pushes classes apart; `SpreadOut` only pushes.

    Example:
        loss: {name: Triplet, auxiliary: {center: "0.05"}}
    """

    def __init__(self, *, classes: int, dimension: int) -> None:
        super().__init__()
        self.centers = unit_rows(classes, dimension)

    def forward(self, comparison: Comparison) -> Outcome:
        apart = comparison.vectors - self.centers[comparison.labels]
        loss = 0.5 * apart.square().sum(dim=1).mean()
        return Outcome(loss, torch.ones_like(loss.detach()), 0)


class SpreadOut(nn.Module):
    """M1^2 + max(0, M2 - 1/D), of the cosines of pairs of different classes; M1 is their mean and
    M2 the mean of their squares. Random directions of D dimensions give zero.

    Zhang et al., Learning Spread-out Local Feature Descriptors, arXiv 1708.06320 (GOR).

    Relations: only pushes, until classes are as orthogonal as chance; `Center` only pulls.

    Example:
        loss: {name: Triplet, auxiliary: {spreadOut: "1.0"}}
    """

    def forward(self, comparison: Comparison) -> Outcome:
        peers = comparison.peers

        def part(vectors: Tensor, references: Tensor, chunk: slice) -> Tensor:
            cosines = (vectors @ references.T).scatter(1, peers.columns[chunk], 0.0)
            return torch.stack([cosines.sum(), cosines.square().sum()])

        pairs = peers.negatives.sum().clamp(min=1)
        first, second = (summed(part, comparison) / pairs).unbind()
        excess = second - 1.0 / comparison.vectors.shape[1]
        loss = first.square() + functional.relu(excess)
        return Outcome(loss, (excess.detach() > 0).to(loss.dtype), 0)
