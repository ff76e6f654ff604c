"""The mean over all triplets of a kind, exact, without ever listing them.

The gradient of the sum with respect to the distance of a pair is the number of counted triplets
that the pair is the positive of, less the number that it is the negative of. Those numbers, a
B x R matrix made chunk by chunk, give both the sum and, by two matrix products, its gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.protocol.training import Distance, LossSpec, MiningSpec
from lockstep_trainer.mining import WINDOWS, Comparison, Window
from lockstep_trainer.objectives.distances import SMALLEST_SQUARE, distance_matrix
from lockstep_trainer.objectives.outcome import Outcome

SORT_ABOVE = 96
"""Positives of an anchor from which one sort of its row costs less than passes for each."""

OUT = 1e30
"""Farther than any negative, and finite: 0 x OUT is 0."""


class WindowedTriplets(nn.Module):
    """Mean loss over all triplets within a window that violate the margin."""

    def __init__(self, loss: LossSpec, mining: MiningSpec) -> None:
        super().__init__()
        self._skip = mining.skip_hardest
        self._rule = Rule(
            WINDOWS[mining.strategy],
            loss.metric(),
            None if loss.soft_margin else loss.number("margin"),
        )

    def forward(self, comparison: Comparison) -> Outcome:
        usable = comparison.usable(self._skip)
        peers = comparison.peers
        triplets = (peers.positive.sum(dim=1) * (peers.negatives - self._skip))[usable].sum()
        total, counted, taught = window_sums(comparison, self._rule, skip=self._skip)
        return Outcome(
            total / counted.clamp(min=1.0),
            taught / triplets.clamp(min=1),
            int((~usable).sum()),
        )


@dataclass(frozen=True)
class Rule:
    """Which negatives count, and what a triplet costs; without a margin the soft form.

    A hinge counts only where it is positive; a soft margin counts wherever the window is open, and
    a window within a margin is open everywhere then.
    """

    window: Window
    distance: Distance
    margin: float | None


def window_sums(
    comparison: Comparison, rule: Rule, *, skip: int = 0, anchors_per_chunk: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the losses, how many triplets it counts, and how many of them teach.

    The sum is differentiable. Memory: about 40 bytes for each pair of a chunk.

    Args:
        comparison: embeddings, float32, L2-normalised.
        skip: the nearest negatives of each anchor that do not count.
        anchors_per_chunk: None: as `Comparison.chunks` says.
    """
    found: tuple[Tensor, Tensor, Tensor] = _WindowSums.apply(
        comparison.vectors, comparison, rule, skip, anchors_per_chunk
    )
    return found


class _WindowSums(torch.autograd.Function):
    """Gradients flow to the anchors alone: what comes from a memory has none, and references that
    are anchors are the same embeddings."""

    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        comparison: Comparison,
        rule: Rule,
        skip: int,
        anchors_per_chunk: int | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        still = comparison.detached()
        gradient = torch.zeros_like(vectors) if ctx.needs_input_grad[0] else None
        sums = torch.zeros(3, dtype=torch.float64, device=vectors.device)
        for chunk in still.chunks(anchors_per_chunk):
            weights, distances, parts = _chunk(still, chunk, rule, skip)
            sums += parts
            if gradient is not None:
                _add_gradient(gradient, still, chunk, weights, distances, rule.distance)
        ctx.save_for_backward(gradient)
        total, counted, taught = sums.unbind()
        ctx.mark_non_differentiable(counted, taught)
        return total.to(torch.float32), counted.to(torch.float32), taught.to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return grads[0] * gradient, None, None, None, None


def _chunk(
    comparison: Comparison, chunk: slice, rule: Rule, skip: int
) -> tuple[Tensor, Tensor, Tensor]:
    """d(sum)/d(distance) and distances, [A, R] each, and (sum, counted, taught), float64 [3]."""
    peers = comparison.peers
    columns, positive = peers.columns[chunk], peers.positive[chunk]
    positive = positive & (peers.negatives[chunk] > skip)[:, None]
    distances = distance_matrix(comparison.vectors[chunk], comparison.references, rule.distance)
    to_positive = distances.gather(1, columns)
    distances.scatter_(1, columns, OUT)
    for _ in range(skip):
        distances.scatter_(1, distances.argmin(dim=1, keepdim=True), OUT)
    if rule.margin is None:
        weights, pulls, parts = _soft(distances, to_positive, positive, rule.window)
    else:
        many = columns.shape[1] > SORT_ABOVE
        count = _by_sorting if many else _by_passes
        weights, pulls = count(distances, to_positive, positive, rule)
        parts = pulls.sum(dtype=torch.float64).repeat(3)
    distances.scatter_(1, columns, to_positive)
    weights.scatter_add_(1, columns, pulls)
    if rule.margin is not None:
        # Among NaN no hinge is positive, but 0 x NaN is NaN: the loss shows it.
        parts[0] = (weights * distances).sum(dim=1).sum(dtype=torch.float64)
        parts[0] += rule.margin * parts[1]
    return weights, distances, parts


def _by_passes(
    distances: Tensor, to_positive: Tensor, positive: Tensor, rule: Rule
) -> tuple[Tensor, Tensor]:
    """Counts of each negative, negated [A, R], and of each positive [A, W]: one pass a slot.

    Comparisons are written as 0.0 and 1.0: on a CPU that is several times faster than booleans.
    Counts are exact: float32 holds every integer up to 2^24, more than a row has columns.
    """
    assert rule.margin is not None
    weights, inside = torch.zeros_like(distances), torch.empty_like(distances)
    pulls = torch.zeros_like(to_positive)
    limits = to_positive.masked_fill(~positive, -OUT)
    for slot in range(limits.shape[1]):
        limit = limits[:, slot, None]
        if rule.window.within_margin:
            torch.lt(distances, limit + rule.margin, out=inside)
        else:
            torch.le(distances, limit, out=inside)
        weights -= inside
        pulls[:, slot] = inside.sum(dim=1)
        if rule.window.beyond:
            torch.le(distances, limit, out=inside)
            weights += inside
            pulls[:, slot] -= inside.sum(dim=1)
    return weights, pulls


def _by_sorting(
    distances: Tensor, to_positive: Tensor, positive: Tensor, rule: Rule
) -> tuple[Tensor, Tensor]:
    """The same by one sort of each row: a window is a range of ranks, found by binary search."""
    assert rule.margin is not None
    ranked, order = distances.sort(dim=1)
    if rule.window.within_margin:
        after = torch.searchsorted(ranked, to_positive + rule.margin)
    else:
        after = torch.searchsorted(ranked, to_positive, right=True)
    first = torch.zeros_like(after)
    if rule.window.beyond:
        first = torch.searchsorted(ranked, to_positive, right=True)
    one = positive.to(distances.dtype)
    change = distances.new_zeros(len(distances), distances.shape[1] + 1)
    change.scatter_add_(1, first, -one).scatter_add_(1, after, one)
    covered = change.cumsum(dim=1)[:, :-1]
    return torch.empty_like(distances).scatter_(1, order, covered), (after - first) * one


def _soft(
    distances: Tensor, to_positive: Tensor, positive: Tensor, window: Window
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of negatives and positives as above, of softplus(d(a, p) - d(a, n)), and the sums."""
    weights, nearer = torch.zeros_like(distances), torch.empty_like(distances)
    pulls = torch.zeros_like(to_positive)
    sums = torch.zeros(3, dtype=torch.float64, device=distances.device)
    limits = to_positive.masked_fill(~positive, -OUT)
    negatives = (distances < OUT).sum(dim=1)
    for slot in range(limits.shape[1]):
        limit = limits[:, slot, None]
        apart = limit - distances
        cost, slope = functional.softplus(apart), torch.sigmoid(apart)
        counted = negatives * positive[:, slot]
        if not window.within_margin:
            torch.le(distances, limit, out=nearer)
            cost, slope, counted = cost * nearer, slope * nearer, nearer.sum(dim=1)
        weights -= slope
        pulls[:, slot] = slope.sum(dim=1)
        taught = torch.lt(distances, limit, out=nearer).sum()
        sums += torch.stack([cost.sum(), counted.sum(), taught]).to(sums.dtype)
    return weights, pulls, sums


def _add_gradient(
    gradient: Tensor,
    comparison: Comparison,
    chunk: slice,
    weights: Tensor,
    distances: Tensor,
    distance: Distance,
) -> None:
    """Adds d(sum)/d(embeddings) of a chunk, by the chain rule through its distances."""
    anchors, references = comparison.vectors[chunk], comparison.references
    own = comparison.vectors
    if distance is Distance.COSINE:
        gradient[chunk] -= weights @ references
        gradient.sub_(weights[:, : len(own)].T @ anchors)
        return
    if distance is Distance.SQUARED_EUCLIDEAN:
        weights = weights * 2.0
    else:
        apart = distances > SMALLEST_SQUARE**0.5 * 1.0001
        weights = weights.div_(distances).mul_(apart)
    gradient[chunk] += weights.sum(dim=1, keepdim=True) * anchors - weights @ references
    pulled = weights[:, : len(own)]
    gradient.add_(pulled.sum(dim=0)[:, None] * own - pulled.T @ anchors)
