"""The loss that is minimised."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.training.numbers import PositiveDecimal


class LossName(StrEnum):
    TRIPLET = "Triplet"


class Distance(StrEnum):
    """Distance between L2-normalised embeddings that the loss uses."""

    EUCLIDEAN = "Euclidean"
    SQUARED_EUCLIDEAN = "SquaredEuclidean"
    COSINE = "Cosine"


class LossSpec(Contract):
    """The loss that is minimised."""

    name: LossName = Field(
        default=LossName.TRIPLET, description="`Triplet`: hinge on d(a,p)-d(a,n)+margin."
    )
    margin: PositiveDecimal = Field(
        default="0.2", description="Margin of the hinge, in units of `distance`."
    )
    distance: Distance = Field(
        default=Distance.EUCLIDEAN,
        description="`Euclidean`, `SquaredEuclidean` or `Cosine`, of L2-normalised embeddings.",
    )
