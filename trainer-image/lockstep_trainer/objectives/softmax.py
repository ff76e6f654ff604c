"""Losses that ask which of the references an anchor belongs to: InfoNCE and SupCon."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.protocol.training import LossSpec
from lockstep_trainer.mining import Comparison
from lockstep_trainer.objectives.chunking import summed
from lockstep_trainer.objectives.outcome import TAUGHT, Outcome


class InfoNCE(nn.Module):
    """Mean over positive pairs of -log of the positive's share among itself and all negatives.

    van den Oord et al., arXiv 1807.03748; as NT-Xent (arXiv 2002.05709), cosines over a
    temperature.

    Relations: with one positive an anchor it is `SupCon`; with more, each pair is judged without
    the anchor's other positives.

    Example:
        loss: {name: InfoNCE, temperature: "0.05"}
    """

    def __init__(self, loss: LossSpec) -> None:
        super().__init__()
        self._temperature = loss.number("temperature")

    def forward(self, comparison: Comparison) -> Outcome:
        usable, peers = comparison.usable(), comparison.peers

        def part(vectors: Tensor, references: Tensor, chunk: slice) -> Tensor:
            rows = usable[chunk]
            own, against = _logits(
                vectors[rows], references, peers.columns[chunk][rows], self._temperature
            )
            losses = functional.softplus(against - own)[peers.positive[chunk][rows]]
            return torch.stack([losses.sum(), (losses.detach() > -_LOG_TAUGHT).sum()])

        count = peers.positive[usable].sum().clamp(min=1)
        total, active = (summed(part, comparison) / count).unbind()
        return Outcome(total, active.detach(), int((~usable).sum()))


class SupCon(nn.Module):
    """Mean over anchors of the mean over their positives of -log of the positive's share among all
    references that hold another item.

    Khosla et al., Supervised Contrastive Learning, arXiv 2004.11362, L_out.

    Relations: unlike in `InfoNCE` the positives of an anchor compete with each other, so its loss
    is never below the log of their number.

    Example:
        loss: {name: SupCon, temperature: "0.1"}
    """

    def __init__(self, loss: LossSpec) -> None:
        super().__init__()
        self._temperature = loss.number("temperature")

    def forward(self, comparison: Comparison) -> Outcome:
        usable, peers = comparison.usable(), comparison.peers

        def part(vectors: Tensor, references: Tensor, chunk: slice) -> Tensor:
            rows = usable[chunk]
            positive = peers.positive[chunk][rows]
            own, against = _logits(
                vectors[rows], references, peers.columns[chunk][rows], self._temperature
            )
            friends = own.masked_fill(~positive, -torch.inf).logsumexp(dim=1)
            all_of_them = torch.logaddexp(friends, against[:, 0])
            losses = all_of_them - (own * positive).sum(dim=1) / positive.sum(dim=1)
            taught = (friends - all_of_them).detach() < _LOG_TAUGHT
            return torch.stack([losses.sum(), taught.sum()])

        count = usable.sum().clamp(min=1)
        total, active = (summed(part, comparison) / count).unbind()
        return Outcome(total, active.detach(), int((~usable).sum()))


_LOG_TAUGHT = float(torch.tensor(TAUGHT).log())


def _logits(
    vectors: Tensor, references: Tensor, columns: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Logits of the peers [A, W], and log of the sum of the negatives' exponentials, [A, 1]."""
    logits = vectors @ references.T / temperature
    against = logits.scatter(1, columns, -torch.inf).logsumexp(dim=1, keepdim=True)
    return logits.gather(1, columns), against
