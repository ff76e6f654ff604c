"""Cross-batch memory: embeddings of the last batches (Wang et al., XBM, arXiv 1912.06798)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lockstep_core.protocol.training import MemorySpec, StorageType
from lockstep_trainer.mining import Memorised

TYPES = {StorageType.FLOAT32: torch.float32, StorageType.FLOAT16: torch.float16}


class Memory(nn.Module):
    """A ring of the newest `size` embeddings with their classes and items.

    All of it, the place of the next row and the number of rows that are filled, too, is in its
    `state_dict()`: a run that resumes compares the next batch with what it would have.
    """

    vectors: Tensor
    labels: Tensor
    items: Tensor

    def __init__(self, spec: MemorySpec, *, dimension: int) -> None:
        super().__init__()
        kept = torch.zeros(spec.size, dimension, dtype=TYPES[spec.storage])
        self.register_buffer("vectors", kept)
        self.register_buffer("labels", torch.zeros(spec.size, dtype=torch.int64))
        self.register_buffer("items", torch.zeros(spec.size, dtype=torch.int64))
        self._next = self._filled = 0

    def read(self) -> Memorised | None:
        """What is filled, as float32; None before the first batch."""
        if not self._filled:
            return None
        kept = slice(self._filled)
        return Memorised(self.vectors[kept].to(torch.float32), self.labels[kept], self.items[kept])

    def push(self, vectors: Tensor, labels: Tensor, items: Tensor) -> None:
        """Keeps a batch, in place of the oldest rows; of a batch beyond the size, its end."""
        size = len(self.vectors)
        count = min(size, len(vectors))
        places = (torch.arange(count, device=self.vectors.device) + self._next) % size
        self.vectors[places] = vectors[-count:].detach().to(self.vectors.dtype)
        self.labels[places] = labels[-count:]
        self.items[places] = items[-count:]
        self._next = (self._next + count) % size
        self._filled = min(size, self._filled + count)

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self._next, self._filled])

    def set_extra_state(self, state: Tensor) -> None:
        self._next, self._filled = map(int, state)
