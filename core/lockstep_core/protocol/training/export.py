"""What is published of a trained encoder."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract, UnitFraction


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
