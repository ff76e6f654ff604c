"""What was mined, as batches use it and checkpoints keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TENSOR = "offline/negatives"


@dataclass(frozen=True, eq=False)
class Guide:
    """`negatives` int32 [N, M]: rows of hard negatives of each training item, nearest first, -1
    behind them. Mined after `step` from embeddings of the network `model_digest`."""

    negatives: NDArray[np.int32]
    step: int
    model_digest: str

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Negatives of some items in one list: the nearest of each first, then the second."""
        rows_by_rank = self.negatives[rows].T.ravel()
        return rows_by_rank[rows_by_rank >= 0].astype(np.int64)

    @property
    def anchors(self) -> int:
        """Items with at least one negative."""
        return int((self.negatives >= 0).any(axis=1).sum())

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON, for a checkpoint."""
        described = {"step": self.step, "modelDigest": self.model_digest}
        return {TENSOR: torch.from_numpy(self.negatives)}, described

    @classmethod
    def unpack(cls, tensors: dict[str, Tensor], described: dict[str, Any] | None) -> Guide | None:
        """What `pack` gave; None when nothing had been mined."""
        if described is None:
            return None
        negatives = tensors[TENSOR].numpy()
        return cls(negatives, int(described["step"]), str(described["modelDigest"]))
