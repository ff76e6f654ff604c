"""Sums over a large matrix of pairs, of which only one chunk exists at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lockstep_trainer.mining import Comparison

Part = Callable[[Tensor, Tensor, slice], Tensor]
"""Sums [k] of some anchors [A, D] against the references [R, D]; the slice names the anchors."""


def summed(part: Part, comparison: Comparison, *, anchors_per_chunk: int | None = None) -> Tensor:
    """The sums of all anchors, [k]. Where there is more than one chunk, each is computed again
    when its gradient is due instead of being kept."""
    chunks = list(comparison.chunks(anchors_per_chunk))
    if len(chunks) == 1:
        return part(comparison.vectors, comparison.references, chunks[0])
    parts = [
        checkpoint(
            part,
            comparison.vectors[chunk],
            comparison.references,
            chunk,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for chunk in chunks
    ]
    return torch.stack(parts).sum(dim=0)
