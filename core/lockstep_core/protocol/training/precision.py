"""In which arithmetic the encoder is trained."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lockstep_core.protocol.base import Contract


class Autocast(StrEnum):
    """Arithmetic of the encoder's layers; losses and distances are always float32."""

    FP32 = "FP32"
    BF16 = "BF16"


class PrecisionSpec(Contract):
    """In which arithmetic the encoder is trained. It is exported and measured in float32."""

    autocast: Autocast = Field(
        default=Autocast.FP32,
        description="`BF16`: layers compute in bfloat16 where that is safe, weights and the loss"
        " stay float32. `FP32`: everything is float32.",
    )
    compile: bool = Field(
        default=False,
        description="Compile the encoder with torch.compile; where that fails, it is trained as it"
        " is, with a warning.",
    )
    deterministic: bool = Field(
        default=False,
        description="Choose reproducible kernels on a GPU too, at some speed. On a CPU the same"
        " seed always gives the same weights.",
    )
