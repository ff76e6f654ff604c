"""When training ends."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lockstep_core.protocol.base import Contract, UnitFraction


class StoppingMetric(StrEnum):
    """What early stopping watches, of held-out items."""

    RECALL_AT_1 = "RecallAt1"
    MAP_AT_R = "MAPAtR"


class EarlyStoppingSpec(Contract):
    """Ends training once evaluations bring nothing more."""

    metric: StoppingMetric = Field(
        default=StoppingMetric.RECALL_AT_1, description="`RecallAt1` or `MAPAtR`."
    )
    patience: int = Field(
        default=5, ge=1, le=1000, description="Evaluations in a row without a gain."
    )
    min_delta: UnitFraction = Field(
        default="0.001", description="The least that counts as a gain over the best so far."
    )


class BudgetSpec(Contract):
    """When training ends."""

    max_steps: int = Field(ge=1, le=10_000_000, description="Optimiser steps.")
    max_seconds: int | None = Field(
        default=None,
        ge=1,
        le=31_536_000,
        description="Seconds of training, over all attempts. At its end the best encoder so far is"
        " exported, and the release's warnings say so.",
    )
    early_stopping: EarlyStoppingSpec | None = Field(
        default=None, description="Ends before `maxSteps`; needs `evaluation.everySteps`."
    )
