"""Encoders from raw items to L2-normalised embeddings.

Everything between the raw item and the embedding (scaling, layout, pooling, normalisation) is
inside the module, so the exported graph needs no preprocessing that could drift from training.
Normalisation layers are GroupNorm and LayerNorm: no layer looks at the batch, so an item's
embedding never depends on its neighbours and large batches may be embedded in chunks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.protocol.training import EncoderKind, EncoderSpec

MAX_GROUPS = 8
MAP_SIDE = 4
MAX_WIDENING = 8


class CNN(nn.Module):
    """Images, uint8 [B, H, W] or [B, H, W, C] -> embeddings, float32 [B, dimension], unit norm.

    Strided convolutions halve the sides until a map of about 4 x 4 is left, while the channels
    double (at most eightfold). A 1x1 convolution narrows that map to `width` channels, and all of
    it is projected: averaging it away would forget where a stroke lies.
    """

    pooling = "None"

    def __init__(self, *, shape: Sequence[int], width: int, dimension: int) -> None:
        super().__init__()
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
        images = _scaled(inputs)
        images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)
        return functional.normalize(self.projection(self.trunk(images).flatten(1)), dim=1)


class MLP(nn.Module):
    """Vectors, float32 [B, D], or images as for `CNN` -> embeddings, float32 [B, dimension].

    Two hidden layers of `width` units. Their LayerNorm takes out the scale of raw vectors.
    """

    pooling = "None"

    def __init__(self, *, shape: Sequence[int], width: int, dimension: int) -> None:
        super().__init__()
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
        hidden = self.trunk(_scaled(inputs).flatten(1))
        return functional.normalize(self.projection(hidden), dim=1)


Network = CNN | MLP


def build_network(spec: EncoderSpec, shape: Sequence[int], *, seed: int) -> Network:
    """A network with fresh weights for items of `shape` (without the batch axis).

    The same spec, shape and seed give the same weights bit for bit, whatever ran before.

    Raises:
        ValueError: a CNN was asked to read vectors.
    """
    if spec.kind is EncoderKind.CNN and len(shape) not in (2, 3):
        raise ValueError(
            f"encoder.kind CNN reads images [H, W] or [H, W, C], but items have the shape"
            f" {tuple(shape)}; use encoder.kind MLP for vectors"
        )
    chosen: type[CNN] | type[MLP] = CNN if spec.kind is EncoderKind.CNN else MLP
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return chosen(shape=shape, width=spec.width, dimension=spec.dimension)


def _convolution(channels: int, wider: int, *, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, wider, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.GroupNorm(math.gcd(wider, MAX_GROUPS), wider),
        nn.ReLU(),
    )


def _scaled(inputs: Tensor) -> Tensor:
    """Pixels (uint8) to [0, 1]; vectors as they are."""
    if inputs.dtype == torch.uint8:
        return inputs.to(torch.float32) / 255.0
    return inputs.to(torch.float32)
