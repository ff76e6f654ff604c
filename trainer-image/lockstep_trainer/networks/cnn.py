"""Images by strided convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.encoding import Preprocessing
from lockstep_trainer.networks.base import Network, raw_input, scaled

MAX_GROUPS = 8
MAP_SIDE = 4
MAX_WIDENING = 8


class CNN(Network):
    """Images, uint8 [B, H, W] or [B, H, W, C] -> embeddings, float32 [B, dimension], unit norm.

    Strided convolutions halve the sides until a map of about 4 x 4 is left, while the channels
    double (at most eightfold). A 1x1 convolution narrows that map to `width` channels, and all of
    it is projected: averaging it away would forget where a stroke lies.
    """

    def __init__(self, *, shape: Sequence[int], width: int, dimension: int) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(raw_input(shape))
        height, breadth = shape[:2]
        channels = shape[2] if len(shape) == 3 else 1
        side = math.sqrt(height * breadth)
        blocks: list[nn.Module] = []
        for stage in range(max(1, math.ceil(math.log2(side / MAP_SIDE)))):
            wider = width * min(2**stage, MAX_WIDENING)
            blocks.append(_convolution(channels, wider, kernel=5 if stage == 0 else 3, stride=2))
            height, breadth, channels = -(-height // 2), -(-breadth // 2), wider
        blocks.append(_convolution(channels, width, kernel=1, stride=1))
        self.trunk = nn.Sequential(*blocks)
        self.projection = nn.Linear(width * height * breadth, dimension)

    def forward(self, inputs: Tensor) -> Tensor:
        images = scaled(inputs)
        images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)
        return functional.normalize(self.projection(self.trunk(images).flatten(1)), dim=1)


def _convolution(channels: int, wider: int, *, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, wider, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.GroupNorm(math.gcd(wider, MAX_GROUPS), wider),
        nn.ReLU(),
    )
