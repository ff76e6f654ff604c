"""What happens when the embeddings fall onto one point."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lockstep_core.protocol.base import Contract, UnitFraction


class CollapseAction(StrEnum):
    REWIND = "Rewind"
    FAIL = "Fail"


class CollapseSpec(Contract):
    """When training counts as collapsed or diverged, and what to do then."""

    action: CollapseAction = Field(
        default=CollapseAction.REWIND,
        description="`Rewind`: go back to the best encoder so far (else to the start), mine"
        " semi-hard and take 0.3 of the learning rate. `Fail`: end the release.",
    )
    max_rewinds: int = Field(
        default=1, ge=1, le=10, description="Rewinds, after which a collapse ends the release."
    )
    min_variance: UnitFraction = Field(
        default="0.02",
        description="Least variance (1 - |mean embedding|^2) of held-out items.",
    )
