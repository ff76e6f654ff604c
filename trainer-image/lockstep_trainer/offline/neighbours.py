"""Exact nearest items of other classes, by blocks, on any device.

No approximate index: of a million items of 128 numbers this is 2.6e14 operations, seconds of a GPU;
and a negative that an index missed would never be trained against.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ANCHORS_PER_BLOCK = 512
ENTRIES_PER_BLOCK = 4_000_000
"""Distances at a time, some 170 MB with all that is made of them, whatever the size of the set. An
accelerator takes 16 times as many."""
SPARE = 8
"""Rows beyond the last rank, which rounding in float32 may have put behind it."""
MEASURED_NUMBERS = 8_000_000
"""Numbers in float64 at a time while chosen pairs are measured again: 64 MB."""


def hard_negatives(
    embeddings: Tensor,
    codes: Tensor,
    *,
    min_rank: int,
    max_rank: int,
    per_anchor: int,
    relative_margin: float,
) -> Tensor:
    """Rows of negatives of each item, int32 [N, per_anchor] on the CPU, the nearest first, -1 where
    there are fewer.

    Of an anchor's nearest items of other classes those of ranks `min_rank` to `max_rank` (from 1)
    count, without those nearer than (1 + `relative_margin`) times the distance of its nearest
    positive: more alike than its own class, such an item is likely to be labelled wrongly. An
    anchor without a positive gets none. Equal distances go by row. A negative at its bound counts
    or not as torch rounds the roots of both distances in float64.

    As positive-aware mining (NV-Retriever, arXiv 2407.15831), but on distances: a share of a cosine
    loosens the bound once that is negative.

    Args:
        embeddings: float32 [N, D], on the device that computes.
        codes: classes, int64 [N], on the same device.
    """
    count = len(embeddings)
    negatives = torch.full((count, per_anchor), -1, dtype=torch.int32)
    if not count:
        return negatives
    norms = embeddings.square().sum(dim=1)
    everyone = torch.arange(count, device=embeddings.device)
    for anchors in torch.split(everyone, ANCHORS_PER_BLOCK):
        rows, own = _nearest(embeddings, norms, codes, anchors, max_rank + SPARE)
        distances, rows = (part[:, :max_rank] for part in _measure(embeddings, anchors, rows))
        bound = (1 + relative_margin) * _to_positive(embeddings, anchors, own)
        keep = (rows >= 0) & (distances >= bound[:, None])
        keep[:, : min_rank - 1] = False
        negatives[anchors.cpu()] = _first(rows, keep, per_anchor).cpu()
    return negatives


def _nearest(
    embeddings: Tensor, norms: Tensor, codes: Tensor, anchors: Tensor, ranks: int
) -> tuple[Tensor, Tensor]:
    """Rows of the `ranks` nearest of other classes [A, ranks], in no order, and of the nearest of
    the own class [A]; -1 where there is none."""
    count, device = len(embeddings), embeddings.device
    entries = ENTRIES_PER_BLOCK * (1 if device.type == "cpu" else 16)
    columns = max(1, entries // len(anchors))
    best = torch.full((len(anchors), ranks), math.inf, device=device)
    best_rows = torch.full((len(anchors), ranks), -1, dtype=torch.int64, device=device)
    own = torch.full((len(anchors),), math.inf, device=device)
    own_row = torch.full((len(anchors),), -1, dtype=torch.int64, device=device)
    for start in range(0, count, columns):
        rows = torch.arange(start, min(start + columns, count), device=device)
        squared = torch.addmm(
            norms[rows][None, :], embeddings[anchors], embeddings[rows].T, alpha=-2
        )
        same = codes[anchors][:, None] == codes[rows][None, :]
        positive = squared.masked_fill(~same | (anchors[:, None] == rows[None, :]), math.inf)
        least, place = positive.min(dim=1)
        nearer = least < own
        own = torch.where(nearer, least, own)
        own_row = torch.where(nearer, rows[place], own_row)
        negative = squared.masked_fill_(same, math.inf)
        near, places = negative.topk(min(ranks, len(rows)), dim=1, largest=False)
        candidates = torch.where(near.isinf(), -1, rows[places])
        best, chosen = torch.cat([best, near], 1).topk(ranks, dim=1, largest=False)
        best_rows = torch.cat([best_rows, candidates], 1).gather(1, chosen)
    return best_rows, own_row


def _to_positive(embeddings: Tensor, anchors: Tensor, own: Tensor) -> Tensor:
    """Distances to the nearest of the own class [A], in float64; infinite without one."""
    distances, _ = _measure(embeddings, anchors, own[:, None])
    return distances[:, 0]


def _measure(embeddings: Tensor, anchors: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of `rows` [A, R] in float64, and the rows in their order; -1 is at infinity."""
    parts = []
    step = max(1, MEASURED_NUMBERS // (rows.shape[1] * embeddings.shape[1]))
    for start in range(0, len(anchors), step):
        here = slice(start, start + step)
        left = embeddings[anchors[here]].double()[:, None, :]
        difference = embeddings[rows[here].clamp_min(0)].double() - left
        parts.append(difference.square().sum(dim=2).sqrt())
    distances = torch.cat(parts).masked_fill(rows < 0, math.inf)
    by_row = rows.argsort(dim=1)
    distances, rows = distances.gather(1, by_row), rows.gather(1, by_row)
    distances, order = distances.sort(dim=1, stable=True)
    return distances, rows.gather(1, order)


def _first(rows: Tensor, keep: Tensor, count: int) -> Tensor:
    """The first `count` kept rows of each line, -1 behind them."""
    order = (~keep).to(torch.int8).argsort(dim=1, stable=True)
    kept = torch.where(keep, rows, -1).gather(1, order)[:, :count]
    missing = count - kept.shape[1]
    return torch.nn.functional.pad(kept, (0, missing), value=-1).to(torch.int32)
