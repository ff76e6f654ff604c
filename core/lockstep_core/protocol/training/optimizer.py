"""How the weights move."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.training.numbers import PositiveDecimal


class Schedule(StrEnum):
    """How the learning rate moves over the steps."""

    ONE_CYCLE = "OneCycle"
    COSINE = "Cosine"
    CONSTANT = "Constant"


class OptimizerSpec(Contract):
    """AdamW and the schedule of its learning rate."""

    learning_rate: PositiveDecimal = Field(default="0.004", description="Peak learning rate.")
    schedule: Schedule = Field(
        default=Schedule.ONE_CYCLE,
        description="`OneCycle` (rises, then anneals to almost nothing), `Cosine` (falls to zero as"
        " half a cosine) or `Constant`.",
    )
    warmup_steps: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Steps in which the rate rises to its peak; unless set, 30 % of all for"
        " `OneCycle` and none otherwise.",
    )
    weight_decay: Annotated[
        str, StringConstraints(pattern=r"^[0-9]{1,2}(\.[0-9]{1,8})?$", max_length=11)
    ] = Field(default="0.01", description="Decoupled weight decay.")
    clip_norm: PositiveDecimal = Field(default="1.0", description="Bound on the gradient's norm.")
