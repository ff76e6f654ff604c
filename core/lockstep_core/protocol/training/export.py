"""What is published of a trained encoder."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, field_validator

from lockstep_core.protocol.base import Contract, UnitFraction


class Weights(StrEnum):
    """How the numbers of a graph are stored. They are computed with as float32 either way."""

    FLOAT32 = "Float32"
    FLOAT16 = "Float16"


class Int8Spec(Contract):
    """Weights of 8 bits, and activations of 8 bits as they come."""

    min_top10_overlap: UnitFraction = Field(
        default="0.95",
        alias="minTop10Overlap",
        description="Least share of the ten nearest neighbours, among held-out items, that"
        " full-precision and quantised embeddings have in common. Nothing is published below it.",
    )


class ExportSpec(Contract):
    """What is published of the encoder."""

    int8: Int8Spec | None = Field(
        default=None,
        description="Publish it quantised: smaller, faster on a CPU, less exact, and a"
        " space of its own. When left out it has full precision.",
    )
    # No default in the schema: trainers of earlier versions do not know the field.
    weights: Weights | None = Field(
        default=None,
        description="`Float16`: publish the weights rounded to float16, about half the bytes, and a"
        " space of its own. They become float32 again when the encoder is loaded, so speed, memory"
        " and agreement between processors are those of float32. With `int8`, the weights that it"
        " leaves. `Float32` is the same as to leave it out.",
    )

    @field_validator("weights")
    @classmethod
    def _default_is_left_out(cls, weights: Weights | None) -> Weights | None:
        """Equal encoders have equal specs, so that saying the default trains nothing anew."""
        return None if weights is Weights.FLOAT32 else weights
