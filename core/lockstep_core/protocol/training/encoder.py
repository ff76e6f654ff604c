"""The encoder's architecture."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lockstep_core.protocol.base import Contract


class EncoderKind(StrEnum):
    """`CNN` for images; `MLP` for images (flattened) and vectors."""

    CNN = "CNN"
    MLP = "MLP"


class EncoderSpec(Contract):
    """The encoder's architecture."""

    kind: EncoderKind = Field(description="`CNN` (images) or `MLP` (images or vectors).")
    dimension: int = Field(default=128, ge=2, le=4096, description="Width of the embeddings.")
    width: int = Field(
        default=32,
        ge=4,
        le=1024,
        description="Channels of the first convolution (CNN), or units of the hidden layers (MLP).",
    )
