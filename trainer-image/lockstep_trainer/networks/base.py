"""What every network is: raw items in, L2-normalised embeddings out.

Everything between the prepared item and the embedding (scaling, layout, pooling, normalisation) is
inside the module, so the exported graph needs no preprocessing that could drift from training; only
texts become numbers outside of it, as `Preprocessing` says. Normalisation layers are GroupNorm and
LayerNorm: no layer looks at the batch, so an item's embedding never depends on its neighbours and
large batches may be embedded in chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lockstep_core.artifacts import InputKind, InputSpec
from lockstep_core.encoding import Preprocessing
from lockstep_core.protocol.artifacts import PixelReading
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.training import EncoderKind, EncoderSpec
from lockstep_trainer.pretrained.head import HeadLayer


class Architecture(Contract):
    """All that a network is built of, besides its weights and the form of its items."""

    kind: EncoderKind
    dimension: int
    width: int = EncoderSpec.model_fields["width"].default
    entrypoint: str | None = None
    matryoshka_dimensions: tuple[int, ...] | None = None
    head: tuple[HeadLayer, ...] | None = None
    """Of a Transformer: what followed the pooling where its weights were published."""

    @classmethod
    def of(cls, spec: EncoderSpec, head: tuple[HeadLayer, ...] = ()) -> Architecture:
        return cls(
            kind=spec.kind,
            dimension=spec.dimension,
            width=spec.width,
            entrypoint=spec.entrypoint,
            matryoshka_dimensions=spec.matryoshka_dimensions,
            head=head or None,
        )


class Network(nn.Module):
    """float32 [B, dimension] of unit norm from the tensor that `preprocessing` describes."""

    pooling: str = "None"
    """The word for the manifest, which is part of the space."""

    preprocessing: Preprocessing
    """From the raw items of a data set to this network's input."""

    architecture: Architecture
    """What its weights are the weights of."""


def raw_input(shape: Sequence[int]) -> InputSpec:
    """The form of one item of an array data set by its shape: a vector, or an image, which an
    encoder that is trained now reads as it is shown."""
    if len(shape) == 1:
        return InputSpec(kind=InputKind.VECTOR, shape=tuple(shape), dtype="float32")
    return InputSpec(
        kind=InputKind.IMAGE, shape=tuple(shape), dtype="uint8", pixels=PixelReading.AS_SHOWN
    )


def scaled(inputs: Tensor) -> Tensor:
    """Pixels (uint8) to [0, 1]; vectors as they are."""
    if inputs.dtype == torch.uint8:
        return inputs.to(torch.float32) / 255.0
    return inputs.to(torch.float32)
