"""A batch against what it is compared with, and who shares a class with whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

CELLS_PER_CHUNK = 2**20
ANCHORS_PER_CHUNK = 512
FEWEST_ANCHORS = 16


@dataclass(frozen=True)
class Peers:
    """The references of each anchor's class.

    `columns`: int64 [B, W], W the size of the largest class, ascending; a smaller class repeats
    its last one. `positive`: bool [B, W], the columns that hold another item than the anchor, each
    once. `negatives`: int64 [B], how many references are of another class.
    """

    columns: Tensor
    positive: Tensor
    negatives: Tensor


@dataclass(frozen=True)
class Memorised:
    """Embeddings of earlier batches, float32 [M, D] without a graph, their classes and items."""

    vectors: Tensor
    labels: Tensor
    items: Tensor


@dataclass(frozen=True)
class Comparison:
    """Anchors [B, D] against references [R, D], both float32; the first B references are the
    anchors themselves, the others come from a memory."""

    vectors: Tensor
    references: Tensor
    labels: Tensor
    peers: Peers

    @classmethod
    def of(
        cls, vectors: Tensor, labels: Tensor, items: Tensor, memory: Memorised | None = None
    ) -> Comparison:
        """A batch against itself and `memory`.

        Args:
            vectors: float32 [B, D].
            labels: int64 [B].
            items: int64 [B], which item each row holds. Rows of one item are no positive pair:
                their distance is zero (or, in a memory, mere ageing) and teaches nothing.
        """
        if memory is None:
            return cls(vectors, vectors, labels, _peers(labels, items, labels, items))
        names = torch.cat([labels, memory.labels])
        return cls(
            vectors,
            torch.cat([vectors, memory.vectors]),
            labels,
            _peers(labels, items, names, torch.cat([items, memory.items])),
        )

    def mapped(self, vectors: Tensor, references: Tensor) -> Comparison:
        """The same items in another space, such as a prefix of theirs."""
        return replace(self, vectors=vectors, references=references)

    def detached(self) -> Comparison:
        return self.mapped(self.vectors.detach(), self.references.detach())

    def usable(self, skip: int = 0) -> Tensor:
        """Anchors that keep a positive and a negative without their `skip` nearest, bool [B]."""
        return self.peers.positive.any(dim=1) & (self.peers.negatives > skip)

    def chunks(self, anchors_per_chunk: int | None = None) -> Iterator[slice]:
        """Slices of the anchors; a chunk has at most about `CELLS_PER_CHUNK` pairs."""
        size = anchors_per_chunk or min(
            ANCHORS_PER_CHUNK, max(FEWEST_ANCHORS, CELLS_PER_CHUNK // max(1, len(self.references)))
        )
        for start in range(0, len(self.vectors), size):
            yield slice(start, start + size)


def _peers(labels: Tensor, items: Tensor, names: Tensor, things: Tensor) -> Peers:
    """Peers of the anchors (`labels`, `items`) among the references (`names`, `things`)."""
    order = names.argsort(stable=True)
    ranked = names[order]
    labels = labels.contiguous()
    first = torch.searchsorted(ranked, labels)
    size = torch.searchsorted(ranked, labels, right=True) - first
    slots = torch.arange(int(size.max()), device=labels.device)
    columns = order[first[:, None] + torch.minimum(slots, size[:, None] - 1)]
    positive = (slots < size[:, None]) & (things[columns] != items[:, None])
    return Peers(columns, positive, len(names) - size)
