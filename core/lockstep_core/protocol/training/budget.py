"""When training ends."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract


class BudgetSpec(Contract):
    """When training ends."""

    max_steps: int = Field(ge=1, le=10_000_000, description="Optimiser steps.")
