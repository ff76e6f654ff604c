"""Which triplets count, and what a batch is compared with."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lockstep_core.protocol.base import Contract


class MiningStrategy(StrEnum):
    """Which triplets of a batch count."""

    RANDOM = "Random"
    SEMI_HARD = "SemiHard"
    ALL_SEMI_HARD = "AllSemiHard"
    HARD = "Hard"
    BATCH_HARD = "BatchHard"
    BATCH_ALL = "BatchAll"
    DISTANCE_WEIGHTED = "DistanceWeighted"


class StorageType(StrEnum):
    """How a number is kept."""

    FLOAT32 = "Float32"
    FLOAT16 = "Float16"


class MemorySpec(Contract):
    """Embeddings of the last batches, which every batch is compared with as well."""

    size: int = Field(ge=1, le=1_048_576, description="Embeddings that are kept, the newest.")
    storage: StorageType = Field(
        default=StorageType.FLOAT32,
        description="`Float32`, or `Float16` in half the space.",
    )


class MiningSpec(Contract):
    """How triplets are chosen, and what a batch is compared with."""

    strategy: MiningStrategy = Field(
        default=MiningStrategy.SEMI_HARD,
        description="Of the Triplet loss. One negative for each anchor and positive: `SemiHard`"
        " (FaceNet: the nearest that is farther than the positive), `Random` or `DistanceWeighted`."
        " One triplet for each anchor: `BatchHard` (farthest positive, nearest negative; prone to"
        " collapse on noisy labels). The mean over all that violate the margin: `BatchAll`, of them"
        " only negatives farther than the positive, `AllSemiHard`, or only the others, `Hard`.",
    )
    skip_hardest: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Nearest negatives of each anchor that do not count: against wrong labels.",
    )
    memory: MemorySpec | None = Field(
        default=None,
        description="Compare each batch with the embeddings of earlier ones, too (cross-batch"
        " memory). None when left out.",
    )
