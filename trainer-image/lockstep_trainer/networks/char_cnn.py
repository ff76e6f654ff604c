"""Texts by convolutions over their bytes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.encoding.bytes_text import PAD, BytesPreprocessor, BytesSpec
from lockstep_core.encoding.preprocessing import TEXT, Preprocessing
from lockstep_trainer.networks.base import Network

BYTES = 256
STAGES = 4
FIRST_KERNEL, KERNEL = 5, 3
MAX_WIDENING = 4


class CharCNN(Network):
    """Bytes of a text, uint8 [B, L] padded with 0 -> embeddings, float32 [B, dimension].

    Four convolutions, each with twice the dilation of the one before, so that the last sees 33
    bytes at once, while the channels double (at most fourfold). Maximum and mean over the places of
    the text are projected. Padding is put back to zero after each, so a text's embedding does not
    depend on how far its batch is padded.
    """

    pooling = "MeanMax"

    def __init__(self, *, text: BytesSpec, width: int, dimension: int) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(TEXT, BytesPreprocessor(text))
        self.embedding = nn.Embedding(BYTES, width, padding_idx=PAD)
        stages: list[nn.Module] = []
        channels = width
        for at in range(STAGES):
            wider = width * min(2**at, MAX_WIDENING)
            kernel = FIRST_KERNEL if at == 0 else KERNEL
            stages.append(_Stage(channels, wider, kernel=kernel, dilation=2**at))
            channels = wider
        self.stages = nn.ModuleList(stages)
        self.projection = nn.Linear(2 * channels, dimension)

    def forward(self, inputs: Tensor) -> Tensor:
        # An embedding's numbers are int64; the graph takes an eighth of that.
        places = inputs.long()
        text = (places != PAD).unsqueeze(1).to(self.embedding.weight.dtype)
        hidden = self.embedding(places).transpose(1, 2)
        for stage in self.stages:
            hidden = stage(hidden) * text
        # ReLU makes all of it non-negative, so padding never is the maximum of a text.
        pooled = torch.cat([hidden.sum(dim=2) / text.sum(dim=2), hidden.amax(dim=2)], dim=1)
        return functional.normalize(self.projection(pooled), dim=1)


class _Stage(nn.Module):
    def __init__(self, channels: int, wider: int, *, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(
            channels, wider, kernel, padding=kernel // 2 * dilation, dilation=dilation
        )
        self.norm = nn.LayerNorm(wider)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, C, L] -> [B, wider, L]. Normalised at each place by itself: over the length, the
        padding would count."""
        convolved = self.convolution(hidden).transpose(1, 2)
        return functional.relu(self.norm(convolved)).transpose(1, 2)
