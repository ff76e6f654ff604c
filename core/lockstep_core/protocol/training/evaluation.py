"""Looks at held-out items while training goes on."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract


class TrainingEvaluationSpec(Contract):
    """Looks at held-out items while training goes on."""

    every_steps: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Measure held-out items every so many steps. What is exported is then the"
        " encoder that was measured best, and not the last one.",
    )
