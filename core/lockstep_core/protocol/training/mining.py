"""Which triplets count."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lockstep_core.protocol.base import Contract


class MiningStrategy(StrEnum):
    """Which triplets of a batch count."""

    SEMI_HARD = "SemiHard"
    BATCH_HARD = "BatchHard"


class MiningSpec(Contract):
    """How triplets are chosen within a batch."""

    strategy: MiningStrategy = Field(
        default=MiningStrategy.SEMI_HARD,
        description="`SemiHard` (FaceNet: for each anchor and positive the nearest negative that is"
        " farther than the positive) or `BatchHard` (farthest positive, nearest negative; prone to"
        " collapse on noisy labels).",
    )
