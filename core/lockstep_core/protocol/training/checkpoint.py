"""What a pod that is lost leaves to the next one."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract


class CheckpointSpec(Contract):
    """How often training is saved to the artifact store, so that a lost pod's work is resumed."""

    every_seconds: int = Field(
        default=300, ge=1, le=86_400, description="A checkpoint after so many seconds."
    )
    every_steps: int | None = Field(
        default=None, ge=1, le=10_000_000, description="And one every so many steps."
    )
    keep: int = Field(
        default=2,
        ge=1,
        le=100,
        description="Newest checkpoints that are kept while training goes on; none after it.",
    )
