"""How the weights move."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.training.numbers import PositiveDecimal


class OptimizerSpec(Contract):
    """AdamW with a one-cycle learning rate."""

    learning_rate: PositiveDecimal = Field(
        default="0.004", description="Peak learning rate of the one-cycle schedule."
    )
    weight_decay: Annotated[
        str, StringConstraints(pattern=r"^[0-9]{1,2}(\.[0-9]{1,8})?$", max_length=11)
    ] = Field(default="0.01", description="Decoupled weight decay.")
    clip_norm: PositiveDecimal = Field(default="1.0", description="Bound on the gradient's norm.")
