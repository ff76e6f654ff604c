"""The triplet hinge, mean over the mined triplets, with a gradient through the chosen pairs only.

Distances are recomputed from the embeddings of the chosen pairs, as differences: the similarity
matrix of the miner loses half of the digits where two embeddings nearly coincide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lockstep_core.protocol.training import Distance, LossSpec
from lockstep_trainer.mining import Triplets

TRIPLETS_PER_CHUNK = 65_536
# Below it a Euclidean distance has no useful direction: its gradient is zero instead of infinite.
SMALLEST_SQUARE = 1e-12


@dataclass(frozen=True)
class TripletLoss:
    """`value`: mean hinge, differentiable. `active`: share of triplets with a positive hinge."""

    value: Tensor
    active: Tensor


def triplet_loss(
    embeddings: Tensor,
    triplets: Triplets,
    spec: LossSpec,
    *,
    triplets_per_chunk: int = TRIPLETS_PER_CHUNK,
) -> TripletLoss:
    """mean over triplets of max(0, d(a, p) - d(a, n) + margin).

    Args:
        embeddings: [B, D], L2-normalised; taken to float32.
        triplets: what `mine` chose. Without any, the loss is zero and so is its gradient.
        spec: the margin and the distance.
        triplets_per_chunk: bounds the memory at about 24 x triplets_per_chunk x D bytes.
    """
    vectors = embeddings.to(torch.float32)
    if len(triplets) <= triplets_per_chunk:
        total, active = _hinge(vectors, triplets, slice(None), spec)
    else:
        total, active = _ChunkedHinge.apply(vectors, triplets, spec, triplets_per_chunk)
    count = max(1, len(triplets))
    return TripletLoss(total / count, active / count)


def pair_distance(left: Tensor, right: Tensor, distance: Distance) -> Tensor:
    """Distance of each pair of rows, [N, D] and [N, D] -> [N]."""
    if distance is Distance.COSINE:
        return 1.0 - (left * right).sum(dim=1)
    squares = (left - right).square().sum(dim=1)
    if distance is Distance.SQUARED_EUCLIDEAN:
        return squares
    return squares.clamp(min=SMALLEST_SQUARE).sqrt()


def _hinge(
    vectors: Tensor, triplets: Triplets, part: slice, spec: LossSpec
) -> tuple[Tensor, Tensor]:
    """Sum of the hinges of `part`, and how many are positive."""
    anchors = vectors[triplets.anchors[part]]
    to_positive = pair_distance(anchors, vectors[triplets.positives[part]], spec.distance)
    to_negative = pair_distance(anchors, vectors[triplets.negatives[part]], spec.distance)
    hinge = (to_positive - to_negative + float(spec.margin)).clamp(min=0.0)
    return hinge.sum(), (hinge.detach() > 0).sum()


class _ChunkedHinge(torch.autograd.Function):
    """The same sum, with the gradient gathered chunk by chunk instead of kept as one graph."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, triplets: Triplets, spec: LossSpec, size: int
    ) -> tuple[Tensor, Tensor]:
        leaf = vectors.detach().requires_grad_()
        total = vectors.new_zeros(())
        active = torch.zeros((), dtype=torch.int64, device=vectors.device)
        with torch.enable_grad():
            for start in range(0, len(triplets), size):
                value, positive = _hinge(leaf, triplets, slice(start, start + size), spec)
                torch.autograd.backward(value)
                total += value.detach()
                active += positive
        assert leaf.grad is not None
        ctx.save_for_backward(leaf.grad)
        ctx.mark_non_differentiable(active)
        return total, active

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return grads[0] * gradient, None, None, None
