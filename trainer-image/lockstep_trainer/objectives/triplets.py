"""The triplet loss over mined triplets, with a gradient through the chosen pairs only.

Distances are recomputed from the embeddings of the chosen pairs, as differences: the similarity
matrix of the miner loses half of the digits where two embeddings nearly coincide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.protocol.training import LossSpec, MiningSpec
from lockstep_trainer.mining import Comparison, Triplets, mine
from lockstep_trainer.objectives.distances import pair_distance
from lockstep_trainer.objectives.outcome import Outcome

TRIPLETS_PER_CHUNK = 65_536


class MinedTriplets(nn.Module):
    """Mean loss over the triplets that a rule of mining chooses from each batch.

    What is drawn by chance depends on the seed and the number of the batch alone.

    Relations: one negative for an anchor and a positive; `WindowedTriplets` takes the mean over all
    that count.

    Example:
        loss: {name: Triplet, margin: "0.2"}
        mining: {strategy: SemiHard}
    """

    def __init__(self, loss: LossSpec, mining: MiningSpec, *, seed: int) -> None:
        super().__init__()
        self._loss, self._mining, self._seed = loss, mining, seed
        self._batches = 0

    def forward(self, comparison: Comparison) -> Outcome:
        skip = self._mining.skip_hardest
        generator = torch.Generator(comparison.vectors.device)
        generator.manual_seed(self._seed * 1_000_003 + self._batches)
        self._batches += self.training
        triplets = mine(comparison, self._mining.strategy, generator, skip=skip)
        value, active = triplet_loss(comparison, triplets, self._loss)
        return Outcome(value, active, int((~comparison.usable(skip)).sum()))

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self._batches)

    def set_extra_state(self, state: Tensor) -> None:
        self._batches = int(state)


def triplet_loss(
    comparison: Comparison,
    triplets: Triplets,
    spec: LossSpec,
    *,
    triplets_per_chunk: int = TRIPLETS_PER_CHUNK,
) -> tuple[Tensor, Tensor]:
    """mean over triplets of max(0, d(a, p) - d(a, n) + margin), or of its soft form.

    Args:
        comparison: embeddings, float32, L2-normalised.
        triplets: what `mine` chose. Without any, the loss is zero and so is its gradient.
        spec: the margin and the distance.
        triplets_per_chunk: bounds the memory at about 24 x triplets_per_chunk x D bytes.

    Returns:
        The loss, and the share of the triplets that teach: those with a positive hinge, or, of the
        soft form, with the negative nearer than the positive.
    """
    rule = _Rule(spec)
    vectors, references = comparison.vectors, comparison.references
    if len(triplets) <= triplets_per_chunk:
        total, active = rule(vectors, references, triplets, slice(None))
    else:
        total, active = _Chunked.apply(vectors, references, triplets, rule, triplets_per_chunk)
    count = max(1, len(triplets))
    return total / count, active / count


@dataclass(frozen=True)
class _Rule:
    spec: LossSpec

    def __call__(
        self, vectors: Tensor, references: Tensor, triplets: Triplets, part: slice
    ) -> tuple[Tensor, Tensor]:
        """Sum of the losses of `part`, and how many of its triplets teach."""
        metric = self.spec.metric()
        anchors = vectors[triplets.anchors[part]]
        to_positive = pair_distance(anchors, references[triplets.positives[part]], metric)
        to_negative = pair_distance(anchors, references[triplets.negatives[part]], metric)
        apart = to_positive - to_negative
        if self.spec.soft_margin:
            return functional.softplus(apart).sum(), (apart.detach() > 0).sum()
        hinge = (apart + self.spec.number("margin")).clamp(min=0.0)
        return hinge.sum(), (hinge.detach() > 0).sum()


class _Chunked(torch.autograd.Function):
    """The same sum, with the gradient gathered chunk by chunk instead of kept as one graph."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, references: Tensor, triplets: Triplets, rule: _Rule, size: int
    ) -> tuple[Tensor, Tensor]:
        alone = references is vectors
        leaf = vectors.detach().requires_grad_()
        others = leaf if alone else references.detach().requires_grad_()
        total = vectors.new_zeros(())
        active = torch.zeros((), dtype=torch.int64, device=vectors.device)
        with torch.enable_grad():
            for start in range(0, len(triplets), size):
                value, taught = rule(leaf, others, triplets, slice(start, start + size))
                torch.autograd.backward(value)
                total += value.detach()
                active += taught
        assert leaf.grad is not None
        ctx.save_for_backward(leaf.grad, None if alone else others.grad)
        ctx.mark_non_differentiable(active)
        return total, active

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        own, others = ctx.saved_tensors
        return grads[0] * own, None if others is None else grads[0] * others, None, None, None
