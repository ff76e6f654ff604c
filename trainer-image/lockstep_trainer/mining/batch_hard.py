"""The hardest triplet of each anchor."""

from __future__ import annotations

import torch

from lockstep_trainer.mining.rows import Choice, Rows


def batch_hard(rows: Rows, generator: torch.Generator) -> Choice:
    """One triplet for each anchor: its farthest positive and its nearest negative.

    Hermans et al., In Defense of the Triplet Loss, arXiv 1703.07737.
    """
    anchors = rows.positive.any(dim=1).nonzero()[:, 0]
    slots = rows.to_positive.masked_fill(~rows.positive, torch.inf).argmin(dim=1, keepdim=True)
    positives = rows.columns.gather(1, slots)[:, 0]
    negatives = rows.near.argmax(dim=1)
    return anchors, positives[anchors], negatives[anchors]
