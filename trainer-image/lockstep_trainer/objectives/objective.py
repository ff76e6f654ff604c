"""The objective of a batch, the seam between the training loop and the losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.protocol.training import AuxiliarySpec, LossName, TrainingSpec
from lockstep_trainer.mining import WINDOWS, Comparison
from lockstep_trainer.objectives.auxiliary import Center, CrossEntropy, SpreadOut
from lockstep_trainer.objectives.contrastive import Contrastive
from lockstep_trainer.objectives.memory import Memory
from lockstep_trainer.objectives.outcome import Outcome
from lockstep_trainer.objectives.proxies import ArcFace, ProxyAnchor
from lockstep_trainer.objectives.softmax import InfoNCE, SupCon
from lockstep_trainer.objectives.triplets import MinedTriplets
from lockstep_trainer.objectives.windows import WindowedTriplets


class Objective(nn.Module):
    """A loss over a batch. What it learns are its parameters and what it remembers is in its
    `state_dict()`, so weights and state are all that a checkpoint needs.

    With several `dimensions` the loss is the mean of those of the embeddings cut to each and
    normalised again (Kusupati et al., Matryoshka Representation Learning, arXiv 2205.13147).
    """

    def __init__(
        self, terms: Sequence[nn.Module], dimensions: Sequence[int], memory: Memory | None
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.memory = memory
        self._dimensions = tuple(dimensions)

    def forward(self, embeddings: Tensor, labels: Tensor, items: Tensor) -> Outcome:
        """Loss of `embeddings` [B, D] of unit norm.

        Args:
            embeddings: computed with in float32 whatever their type, also under autocast.
            labels: int64 [B], the class of each row.
            items: int64 [B], which item each row holds: rows of one item are no positive pair.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            vectors = embeddings.to(torch.float32)
            known = self.memory.read() if self.memory is not None else None
            comparison = Comparison.of(vectors, labels, items, known)
            outcomes = [
                term(_cut(comparison, dimension))
                for term, dimension in zip(self.terms, self._dimensions, strict=True)
            ]
            if self.memory is not None and self.training:
                self.memory.push(vectors, labels, items)
        return _mean(outcomes)

    if TYPE_CHECKING:  # nn.Module declares it as returning Any

        def __call__(self, embeddings: Tensor, labels: Tensor, items: Tensor) -> Outcome: ...


def build_objective(spec: TrainingSpec, *, classes: int, seed: int) -> Objective:
    """The objective of a spec; `classes` is the number of different labels, codes 0..classes-1.

    The same arguments give the same parameters bit for bit, whatever ran before.
    """
    full = spec.encoder.dimension
    dimensions = [*(spec.encoder.matryoshka_dimensions or ()), full]
    memory = None
    if spec.mining.memory is not None:
        memory = Memory(spec.mining.memory, dimension=full)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        terms = [_Sum(spec, classes=classes, dimension=d, seed=seed) for d in dimensions]
    return Objective(terms, dimensions, memory)


class _Sum(nn.Module):
    """The loss and its auxiliary terms, each times its weight."""

    def __init__(self, spec: TrainingSpec, *, classes: int, dimension: int, seed: int) -> None:
        super().__init__()
        self.main = _main(spec, classes=classes, dimension=dimension, seed=seed)
        self.auxiliary = nn.ModuleDict(
            _auxiliary(spec.loss.auxiliary, classes=classes, dimension=dimension)
        )
        self._weights = {name: float(getattr(spec.loss.auxiliary, name)) for name in self.auxiliary}

    def forward(self, comparison: Comparison) -> Outcome:
        outcome: Outcome = self.main(comparison)
        loss = outcome.loss
        for name, term in self.auxiliary.items():
            loss = loss + self._weights[name] * term(comparison).loss
        return Outcome(loss, outcome.active, outcome.skipped)


def _main(spec: TrainingSpec, *, classes: int, dimension: int, seed: int) -> nn.Module:
    loss = spec.loss
    match loss.name:
        case LossName.TRIPLET if spec.mining.strategy in WINDOWS:
            return WindowedTriplets(loss, spec.mining)
        case LossName.TRIPLET:
            return MinedTriplets(loss, spec.mining, seed=seed)
        case LossName.CONTRASTIVE:
            return Contrastive(loss)
        case LossName.INFO_NCE:
            return InfoNCE(loss)
        case LossName.SUP_CON:
            return SupCon(loss)
        case LossName.PROXY_ANCHOR:
            return ProxyAnchor(loss, classes=classes, dimension=dimension)
        case LossName.ARC_FACE:
            return ArcFace(loss, classes=classes, dimension=dimension)


def _auxiliary(spec: AuxiliarySpec, *, classes: int, dimension: int) -> dict[str, nn.Module]:
    """The terms that have a weight, by the name of its field."""
    terms: dict[str, nn.Module] = {}
    if spec.cross_entropy is not None:
        terms["cross_entropy"] = CrossEntropy(classes=classes, dimension=dimension)
    if spec.center is not None:
        terms["center"] = Center(classes=classes, dimension=dimension)
    if spec.spread_out is not None:
        terms["spread_out"] = SpreadOut()
    return terms


def _cut(comparison: Comparison, dimension: int) -> Comparison:
    """The first coordinates of all embeddings, normalised again."""
    if dimension == comparison.vectors.shape[1]:
        return comparison
    vectors = functional.normalize(comparison.vectors[:, :dimension], dim=1)
    if comparison.references is comparison.vectors:
        return comparison.mapped(vectors, vectors)
    others = comparison.references[len(vectors) :, :dimension]
    return comparison.mapped(vectors, torch.cat([vectors, functional.normalize(others, dim=1)]))


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    """The mean of the losses; anchors are skipped alike in every dimension."""
    if len(outcomes) == 1:
        return outcomes[0]
    return Outcome(
        torch.stack([outcome.loss for outcome in outcomes]).mean(),
        torch.stack([outcome.active for outcome in outcomes]).mean(),
        outcomes[0].skipped,
    )
