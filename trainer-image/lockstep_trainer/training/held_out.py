"""Evaluates a network while it is trained: held-out items, and a sample of training items."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Inputs, Strings
from lockstep_core.quality.recall import exact_neighbours
from lockstep_trainer.evaluation import Floats, embed, measure
from lockstep_trainer.networks import Network
from lockstep_trainer.training.eval_points import EvalPoint

SAMPLE_ITEMS = 2000
WITNESSES = 3
"""Neighbours that must agree before they contradict a label: a class of four items has as many."""

SHOWN_ITEMS = 20


class HeldOutEvaluator:
    """Measures one data set. `sample` are rows of the training items: whole classes, about as many
    items as are held out, so that both recalls are of galleries of one size."""

    def __init__(
        self,
        inputs: Inputs,
        labels: Strings,
        unseen: Inputs,
        unseen_labels: Strings,
        *,
        device: torch.device,
        seed: int,
    ) -> None:
        self._unseen, self._unseen_labels, self._device = unseen, unseen_labels, device
        self.sample = sample_rows(labels, min(len(unseen), SAMPLE_ITEMS), seed=seed)
        self._seen, self._seen_labels = inputs[self.sample], labels[self.sample]
        self.contradicted: list[tuple[int, str, str]] = []

    def evaluate(self, network: Network, step: int) -> EvalPoint:
        """Leaves the network in evaluation mode."""
        unseen = embed(network, self._unseen, device=self._device)
        quality = measure(unseen, self._unseen_labels)
        seen = embed(network, self._seen, device=self._device)
        finite = bool(np.isfinite(seen).all())
        rows, others = contradictions(seen, self._seen_labels) if finite else ([], [])
        self.contradicted = [
            (int(self.sample[row]), str(self._seen_labels[row]), str(other))
            for row, other in zip(rows[:SHOWN_ITEMS], others[:SHOWN_ITEMS], strict=True)
        ]
        return EvalPoint(
            step=step,
            recall_at_1=quality.recall_at_1,
            map_at_r=quality.map_at_r,
            variance=quality.variance,
            train_recall_at_1=measure(seen, self._seen_labels).recall_at_1 if finite else None,
            contradicted=len(rows) / len(seen) if finite else None,
        )


def sample_rows(labels: Strings, items: int, *, seed: int) -> NDArray[np.int64]:
    """Rows of whole classes of two items or more, in random order, until `items` are reached."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    usable = np.flatnonzero(counts > 1)
    order = np.random.default_rng((seed, 2)).permutation(usable)
    enough = int(np.searchsorted(counts[order].cumsum(), items)) + 1
    return np.flatnonzero(np.isin(codes, order[:enough]))


def contradictions(embeddings: Floats, labels: Strings) -> tuple[list[int], list[str]]:
    """Rows whose `WITNESSES` nearest neighbours all have one label, which is not the row's own,
    and that label. Such an item is the hardest negative of the class that it lies in."""
    if len(embeddings) <= WITNESSES:
        return [], []
    nearest, _ = exact_neighbours(embeddings, embeddings, WITNESSES, exclude=np.arange(len(labels)))
    witnesses = labels[nearest]
    agree = (witnesses == witnesses[:, :1]).all(axis=1) & (witnesses[:, 0] != labels)
    rows = np.flatnonzero(agree)
    return rows.tolist(), witnesses[rows, 0].tolist()
