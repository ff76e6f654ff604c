"""Which triplets of a batch count: exact FaceNet semi-hard and batch-hard mining.

Usual implementations materialise B x B x B booleans. Here each chunk of anchors needs its own rows
of the similarity matrix only: memory is O(chunk x B) and the result is the same, triplet for
triplet, as that of the naive triple loop.

Embeddings are L2-normalised, so every distance of the loss is a decreasing function of the cosine
similarity, and one order of similarities serves them all. Equal similarities go to the item that
comes first in the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lockstep_core.protocol.training import MiningStrategy

ANCHORS_PER_CHUNK = 512


@dataclass(frozen=True)
class Triplets:
    """Positions in the batch, int64 [T] each; `skipped` anchors had no positive or no negative."""

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    skipped: int

    def __len__(self) -> int:
        return len(self.anchors)


@dataclass(frozen=True)
class Rows:
    """Some anchors against the whole batch: cosine similarity float32, two masks, all [A, B]."""

    similarity: Tensor
    positive: Tensor
    negative: Tensor

    def usable(self) -> Tensor:
        """Anchors with at least one positive and one negative, bool [A]."""
        return self.positive.any(dim=1) & self.negative.any(dim=1)


Chooser = Callable[[Rows], tuple[Tensor, Tensor, Tensor]]


def mine(
    embeddings: Tensor,
    labels: Tensor,
    strategy: MiningStrategy,
    *,
    items: Tensor | None = None,
    anchors_per_chunk: int = ANCHORS_PER_CHUNK,
) -> Triplets:
    """Chooses the triplets of one batch; no gradient flows through the choice.

    Args:
        embeddings: [B, D], L2-normalised; compared in float32 whatever their type.
        labels: int64 [B].
        strategy: the rule, see `semi_hard` and `batch_hard`.
        items: int64 [B], which item each row holds. Two rows of one item (a class with fewer
            items than a batch takes) are then not a positive pair: its distance of zero teaches
            nothing. None means that all rows differ.
        anchors_per_chunk: bounds the memory: about 40 x anchors_per_chunk x B bytes.
    """
    choose: Chooser = semi_hard if strategy is MiningStrategy.SEMI_HARD else batch_hard
    with torch.no_grad():
        vectors = embeddings.detach().to(torch.float32)
        names = torch.arange(len(labels), device=labels.device) if items is None else items
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        skipped = torch.zeros((), dtype=torch.int64, device=labels.device)
        for start in range(0, len(vectors), anchors_per_chunk):
            chunk = slice(start, start + anchors_per_chunk)
            same = labels[chunk, None] == labels[None, :]
            rows = Rows(
                similarity=vectors[chunk] @ vectors.T,
                positive=same & (names[chunk, None] != names[None, :]),
                negative=~same,
            )
            skipped += (~rows.usable()).sum()
            anchors, positives, negatives = choose(rows)
            found.append((anchors + start, positives, negatives))
        anchors, positives, negatives = (torch.cat(part) for part in zip(*found, strict=True))
    return Triplets(anchors, positives, negatives, int(skipped))


def semi_hard(rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """One triplet for each anchor and positive (Schroff et al., FaceNet, arXiv 1503.03832).

    The negative is the nearest one that is farther than the positive; where no negative is
    farther, the farthest (easiest) one, as TensorFlow Addons does.

    Returns:
        Anchors (rows of `rows`), positives and negatives (columns), int64 [T], ordered by anchor,
        then positive.
    """
    anchors, positives = (rows.positive & rows.usable()[:, None]).nonzero(as_tuple=True)
    # Negatives of each row from the nearest to the farthest; -inf moves the others behind them.
    ranked, columns = rows.similarity.masked_fill(~rows.negative, -torch.inf).sort(
        dim=1, descending=True, stable=True
    )
    rising = -ranked
    place = torch.searchsorted(rising, _padded(rows, anchors, positives), right=True)
    slot = _slots(rows)[anchors, positives]
    count = rows.negative.sum(dim=1)
    farthest = rising.gather(1, (count - 1).clamp(min=0)[:, None])
    easiest = torch.searchsorted(rising, farthest)[:, 0]
    chosen = place[anchors, slot]
    chosen = torch.where(chosen < count[anchors], chosen, easiest[anchors])
    # Among NaN nothing is found: any column then, so that the loss shows the NaN.
    return anchors, positives, columns[anchors, chosen.clamp(max=columns.shape[1] - 1)]


def batch_hard(rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """One triplet for each anchor: its farthest positive and its nearest negative.

    Hermans et al., In Defense of the Triplet Loss, arXiv 1703.07737. Returns as `semi_hard`.
    """
    anchors = rows.usable().nonzero(as_tuple=True)[0]
    positives = rows.similarity.masked_fill(~rows.positive, torch.inf).argmin(dim=1)
    negatives = rows.similarity.masked_fill(~rows.negative, -torch.inf).argmax(dim=1)
    return anchors, positives[anchors], negatives[anchors]


def _slots(rows: Rows) -> Tensor:
    """For each positive its number among the positives of its row, int64 [A, B]."""
    return rows.positive.cumsum(dim=1) - 1


def _padded(rows: Rows, anchors: Tensor, positives: Tensor) -> Tensor:
    """Negated similarities of each row's positives side by side, [A, most positives of a row]."""
    width = max(1, int(rows.positive.sum(dim=1).max()))
    padded = rows.similarity.new_full((len(rows.similarity), width), torch.inf)
    slots = _slots(rows)[anchors, positives]
    padded[anchors, slots] = -rows.similarity[anchors, positives]
    return padded
