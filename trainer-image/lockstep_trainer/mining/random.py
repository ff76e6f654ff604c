"""Negatives by chance alone."""

from __future__ import annotations

import torch

from lockstep_trainer.mining.rows import Choice, Rows


def random_negatives(rows: Rows, generator: torch.Generator) -> Choice:
    """One triplet for each anchor and positive; every negative is as likely as any other."""
    chance = torch.rand(rows.columns.shape, generator=generator, device=rows.near.device)
    count = rows.negatives[:, None]
    rank = torch.minimum((chance * count).long(), count - 1)
    passed = (rows.near != -torch.inf).cumsum(dim=1)
    chosen = torch.searchsorted(passed, rank + 1)
    return rows.pairs(chosen.clamp(max=rows.near.shape[1] - 1))
