"""Losses with a learned vector for each class: ProxyAnchor and ArcFace."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.protocol.training import LossSpec
from lockstep_trainer.mining import Comparison
from lockstep_trainer.objectives.outcome import TAUGHT, Outcome

SMALLEST_SINE_SQUARE = 1e-12


def unit_rows(count: int, dimension: int) -> nn.Parameter:
    """Random directions, float32 [count, dimension], from torch's global generator."""
    return nn.Parameter(functional.normalize(torch.randn(count, dimension), dim=1))


class ProxyAnchor(nn.Module):
    """Each class has a proxy that draws its items near and pushes all others away.

    Kim et al., Proxy Anchor Loss for Deep Metric Learning, arXiv 2003.13911, equation 4. `active`
    is the share of items whose cosine to their own proxy is not yet two margins above that to every
    other.

    Relations: items are compared with one vector a class as in `ArcFace`, not with each other, so
    `mining` and its memory have nothing to choose. The hard items of a proxy weigh more, in both
    directions; `ArcFace` weighs each item by itself.

    Example:
        loss: {name: ProxyAnchor, margin: "0.1", scale: "32"}
    """

    def __init__(self, loss: LossSpec, *, classes: int, dimension: int) -> None:
        super().__init__()
        self._margin, self._scale = loss.number("margin"), loss.number("scale")
        self.proxies = unit_rows(classes, dimension)

    def forward(self, comparison: Comparison) -> Outcome:
        cosines = comparison.vectors @ functional.normalize(self.proxies, dim=1).T
        own = functional.one_hot(comparison.labels, len(self.proxies)).bool()
        pull = _log_one_plus(-self._scale * (cosines - self._margin), own)
        push = _log_one_plus(self._scale * (cosines + self._margin), ~own)
        loss = pull.sum() / own.any(dim=0).sum() + push.sum() / len(self.proxies)
        known = cosines.detach()
        best_other = known.masked_fill(own, -torch.inf).amax(dim=1)
        lead = known.gather(1, comparison.labels[:, None])[:, 0] - best_other
        return Outcome(loss, (lead < 2 * self._margin).to(known.dtype).mean(), 0)


class ArcFace(nn.Module):
    """Cross-entropy of scaled cosines to the classes' vectors, after a margin was added to the
    angle of the own class.

    Deng et al., ArcFace, arXiv 1801.07698; beyond an angle of pi - margin, where the cosine would
    rise again, it goes on as cos(angle) - margin sin(margin), as the authors' code does.

    Relations: without its margin a cross-entropy of cosines, as the auxiliary `crossEntropy` is one
    of a linear layer. `ProxyAnchor` learns a vector a class, too.

    Example:
        loss: {name: ArcFace, margin: "0.3", scale: "32"}
    """

    def __init__(self, loss: LossSpec, *, classes: int, dimension: int) -> None:
        super().__init__()
        self._margin, self._scale = loss.number("margin"), loss.number("scale")
        self.directions = unit_rows(classes, dimension)

    def forward(self, comparison: Comparison) -> Outcome:
        labels = comparison.labels[:, None]
        cosines = comparison.vectors @ functional.normalize(self.directions, dim=1).T
        own = cosines.gather(1, labels)
        sine = (1.0 - own.square()).clamp(min=SMALLEST_SINE_SQUARE).sqrt()
        turned = own * math.cos(self._margin) - sine * math.sin(self._margin)
        beyond = own - self._margin * math.sin(self._margin)
        turned = torch.where(own >= -math.cos(self._margin), turned, beyond)
        logits = self._scale * cosines.scatter(1, labels, turned)
        return cross_entropy(logits, comparison.labels)


def cross_entropy(logits: Tensor, labels: Tensor) -> Outcome:
    """Mean cross-entropy of logits [B, C]; what is all but certain teaches no more."""
    losses = functional.cross_entropy(logits, labels, reduction="none")
    return Outcome(losses.mean(), (losses.detach() > -math.log(TAUGHT)).to(losses.dtype).mean(), 0)


def _log_one_plus(exponents: Tensor, counted: Tensor) -> Tensor:
    """ln(1 + sum of exp over the counted items) of each class, [B, C] -> [C]."""
    kept = exponents.masked_fill(~counted, -torch.inf)
    return torch.cat([kept.new_zeros(1, kept.shape[1]), kept]).logsumexp(dim=0)
