"""The mean over all triplets of a kind, exact, without ever listing them.

The gradient of the sum with respect to the distance of a pair is the number of counted triplets
that the pair is the positive of, less the number that it is the negative of. Those numbers, a
B x R matrix made chunk by chunk, give both the sum and, by two matrix products, its gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.protocol.training import Distance, LossSpec, MiningSpec
from lockstep_trainer.mining import WINDOWS, Comparison, Window
from lockstep_trainer.objectives.distances import (
    COINCIDE,
    distance_factors,
    factored_distance,
)
from lockstep_trainer.objectives.outcome import Outcome

SORT_ABOVE = 96
"""Positives of an anchor from which one sort of its row costs less than passes for each."""

OUT = 1e30
"""Farther than any negative, and finite: 0 x OUT is 0."""


class WindowedTriplets(nn.Module):
    """Mean loss over all triplets within a window that violate the margin.

    Relations: the triplets of `Hard` and of `AllSemiHard` together are those of `BatchAll`.
    `MinedTriplets` takes one negative for an anchor and a positive instead of all.

    Example:
        loss: {name: Triplet, margin: "0.2"}
        mining: {strategy: AllSemiHard}
    """

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
    sums: tuple[Tensor, Tensor, Tensor] = _WindowSums.apply(
        comparison.vectors, comparison, rule, skip, anchors_per_chunk
    )
    return sums


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
        left, right = distance_factors(still.vectors, still.references, rule.distance)
        buffers = None
        for chunk in still.chunks(anchors_per_chunk):
            rows = left[chunk]
            buffers = buffers or _Buffers.of(rows, right)
            work = buffers.first(len(rows))
            factored_distance(rows, right, rule.distance, out=work.distances)
            sums += _weigh(work, still, chunk, rule, skip)
            if gradient is not None:
                _add_gradient(gradient, still, chunk, work, rule.distance)
        ctx.save_for_backward(gradient)
        total, counted, taught = sums.to(torch.float32).unbind()
        ctx.mark_non_differentiable(counted, taught)
        return total, counted, taught

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return grads[0] * gradient, None, None, None, None


@dataclass(frozen=True)
class _Buffers:
    """[A, R] each, used again for every chunk: fresh pages cost as much as the arithmetic.

    `weights`: d(sum)/d(distance). `inside`, `nearer`: room for 0.0 and 1.0.
    """

    distances: Tensor
    weights: Tensor
    inside: Tensor
    nearer: Tensor

    @classmethod
    def of(cls, left: Tensor, right: Tensor) -> _Buffers:
        return cls(*(left.new_empty(len(left), len(right)) for _ in range(4)))

    def first(self, count: int) -> _Buffers:
        return _Buffers(*(getattr(self, field.name)[:count] for field in fields(self)))


def _weigh(work: _Buffers, comparison: Comparison, chunk: slice, rule: Rule, skip: int) -> Tensor:
    """Fills `work.weights` from `work.distances`; a chunk's (sum, counted, taught), float64 [3]."""
    peers = comparison.peers
    columns = peers.columns[chunk]
    positive = peers.positive[chunk] & (peers.negatives[chunk] > skip)[:, None]
    distances, weights = work.distances, work.weights
    to_positive = distances.gather(1, columns)
    distances.scatter_(1, columns, OUT)
    for _ in range(skip):
        distances.scatter_(1, distances.argmin(dim=1, keepdim=True), OUT)
    if rule.margin is None:
        pulls, sums = _soft(work, to_positive, positive, rule.window)
    else:
        many = columns.shape[1] > SORT_ABOVE
        pulls = (_by_sorting if many else _by_passes)(work, to_positive, positive, rule)
        sums = pulls.sum(dtype=torch.float64).repeat(3)
    distances.scatter_(1, columns, to_positive)
    weights.scatter_add_(1, columns, pulls)
    if rule.margin is not None:
        # Among NaN no hinge is positive, but 0 x NaN is NaN: the loss shows it.
        terms = torch.mul(weights, distances, out=work.inside)
        sums[0] = terms.sum(dim=1).sum(dtype=torch.float64) + rule.margin * sums[1]
    return sums


def _by_passes(work: _Buffers, to_positive: Tensor, positive: Tensor, rule: Rule) -> Tensor:
    """Counts of each negative, negated, into `work.weights`, and of each positive, [A, W].

    One pass for each slot of a positive. Comparisons are written as 0.0 and 1.0: on a CPU that is
    several times faster than booleans. Counts are exact: float32 holds every integer up to 2^24.
    """
    assert rule.margin is not None
    pulls = torch.zeros_like(to_positive)
    limits = to_positive.masked_fill(~positive, -OUT)
    for slot in range(limits.shape[1]):
        limit = limits[:, slot, None]
        if rule.window.within_margin:
            torch.lt(work.distances, limit + rule.margin, out=work.inside)
        else:
            torch.le(work.distances, limit, out=work.inside)
        if rule.window.beyond:
            torch.le(work.distances, limit, out=work.nearer)
            work.inside.sub_(work.nearer)
        pulls[:, slot] = work.inside.sum(dim=1)
        if slot == 0:
            torch.neg(work.inside, out=work.weights)
        else:
            work.weights.sub_(work.inside)
    return pulls


def _by_sorting(work: _Buffers, to_positive: Tensor, positive: Tensor, rule: Rule) -> Tensor:
    """The same by one sort of each row: a window is a range of ranks, found by binary search."""
    assert rule.margin is not None
    ranked, order = work.distances.sort(dim=1)
    if rule.window.within_margin:
        after = torch.searchsorted(ranked, to_positive + rule.margin)
    else:
        after = torch.searchsorted(ranked, to_positive, right=True)
    first = torch.zeros_like(after)
    if rule.window.beyond:
        first = torch.searchsorted(ranked, to_positive, right=True)
    one = positive.to(ranked.dtype)
    change = ranked.new_zeros(len(ranked), ranked.shape[1] + 1)
    change.scatter_add_(1, first, -one).scatter_add_(1, after, one)
    work.weights.scatter_(1, order, change.cumsum(dim=1)[:, :-1])
    return (after - first) * one


def _soft(
    work: _Buffers, to_positive: Tensor, positive: Tensor, window: Window
) -> tuple[Tensor, Tensor]:
    """Weights as by passes, of softplus(d(a, p) - d(a, n)), and (sum, counted, taught)."""
    pulls = torch.zeros_like(to_positive)
    sums = torch.zeros(3, dtype=torch.float64, device=to_positive.device)
    limits = to_positive.masked_fill(~positive, -OUT)
    negatives = (work.distances < OUT).sum(dim=1)
    work.weights.zero_()
    for slot in range(limits.shape[1]):
        limit = limits[:, slot, None]
        apart = torch.sub(limit, work.distances, out=work.inside)
        cost, slope = functional.softplus(apart), torch.sigmoid(apart)
        counted = negatives * positive[:, slot]
        if not window.within_margin:
            open_to = torch.le(work.distances, limit, out=work.nearer)
            cost, slope, counted = cost * open_to, slope * open_to, open_to.sum(dim=1)
        work.weights.sub_(slope)
        pulls[:, slot] = slope.sum(dim=1)
        taught = torch.lt(work.distances, limit, out=work.nearer).sum()
        sums += torch.stack([cost.sum(), counted.sum(), taught]).to(sums.dtype)
    return pulls, sums


def _add_gradient(
    gradient: Tensor, comparison: Comparison, chunk: slice, work: _Buffers, distance: Distance
) -> None:
    """Adds d(sum)/d(embeddings) of a chunk, by the chain rule through its distances."""
    own, references, weights = comparison.vectors, comparison.references, work.weights
    anchors, pulled = own[chunk], weights[:, : len(own)]
    if distance is Distance.COSINE:
        gradient[chunk] -= weights @ references
        gradient.sub_(pulled.T @ anchors)
        return
    if distance is Distance.SQUARED_EUCLIDEAN:
        weights.mul_(2.0)
    else:
        apart = torch.gt(work.distances, COINCIDE, out=work.inside)
        weights.div_(work.distances).mul_(apart)
    gradient[chunk] += weights.sum(dim=1, keepdim=True) * anchors - weights @ references
    gradient.add_(pulled.sum(dim=0)[:, None] * own - pulled.T @ anchors)
