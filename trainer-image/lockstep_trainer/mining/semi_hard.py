"""FaceNet's semi-hard negatives, the default."""

from __future__ import annotations

import torch
from torch import Tensor

from lockstep_trainer.mining.rows import Choice, Rows

SORT_ABOVE = 64
"""Positives of an anchor from which one sort of its row costs less than a pass for each."""

OUT = 1e30
"""Farther out of the way than any similarity, and finite: 0 x OUT is 0."""


def semi_hard(rows: Rows, generator: torch.Generator) -> Choice:
    """One triplet for each anchor and positive (Schroff et al., FaceNet, arXiv 1503.03832).

    The negative is the nearest one that is farther than the positive; where no negative is
    farther, the farthest (easiest) one, as TensorFlow Addons does.
    """
    many = rows.columns.shape[1] > SORT_ABOVE
    return rows.pairs(_by_sorting(rows) if many else _by_passes(rows))


def _by_passes(rows: Rows) -> Tensor:
    """For each slot of a positive one pass over the row, int64 [A, W].

    Comparisons are written as 0.0 and 1.0: on a CPU that is several times faster than booleans
    and selection by them.
    """
    work = torch.eq(rows.near, -torch.inf, out=torch.empty_like(rows.near))
    easiest = rows.near.clamp(min=-OUT).add_(work, alpha=2 * OUT).argmin(dim=1)
    chosen = torch.empty_like(rows.columns)
    for slot in range(rows.columns.shape[1]):
        torch.ge(rows.near, rows.to_positive[:, slot, None], out=work)
        nearest = torch.sub(rows.near, work, alpha=OUT, out=work).max(dim=1)
        # Among NaN nothing is farther: the easiest is then a NaN, and the loss shows it.
        chosen[:, slot] = torch.where(nearest.values > -OUT / 2, nearest.indices, easiest)
    return chosen


def _by_sorting(rows: Rows) -> Tensor:
    """One stable sort of each row and a binary search for each positive, int64 [A, W]."""
    ranked, columns = rows.near.sort(dim=1, descending=True, stable=True)
    rising = ranked.neg_()
    place = torch.searchsorted(rising, -rows.to_positive, right=True)
    last = (rows.negatives - 1).clamp(min=0)[:, None]
    easiest = torch.searchsorted(rising, rising.gather(1, last))
    chosen = torch.where(place <= last, place, easiest)
    return columns.gather(1, chosen.clamp(max=columns.shape[1] - 1))
