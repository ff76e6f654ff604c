"""Vectors, or images as vectors, by two hidden layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.encoding import Preprocessing
from lockstep_trainer.networks.base import Network, raw_input, scaled


class MLP(Network):
    """Vectors, float32 [B, D], or images as for `CNN` -> embeddings, float32 [B, dimension].

    Two hidden layers of `width` units. Their LayerNorm takes out the scale of raw vectors.
    """

    def __init__(self, *, shape: Sequence[int], width: int, dimension: int) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(raw_input(shape))
        self.trunk = nn.Sequential(
            nn.Linear(math.prod(shape), width),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.ReLU(),
        )
        self.projection = nn.Linear(width, dimension)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.trunk(scaled(inputs).flatten(1))
        return functional.normalize(self.projection(hidden), dim=1)
