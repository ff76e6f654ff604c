"""Which triplets count, and what a batch is compared with."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from lockstep_core.protocol.base import Contract, DecimalString, rule, validations


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


_ONE_PACE = "one of `everySteps` and `everyEpochs` must be set, and only one"
_RANKS = "`minRank` must not exceed `maxRank`"


class OfflineMiningSpec(Contract):
    """Hard negatives out of the whole training set, exactly, which complete batches."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule("has(self.everySteps) != has(self.everyEpochs)", _ONE_PACE, ".everySteps"),
            rule("self.minRank <= self.maxRank", _RANKS, ".minRank"),
        )
    )

    every_steps: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Mine anew after so many steps."
    )
    every_epochs: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Mine anew after as many batches as hold all items so many times.",
    )
    min_rank: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="First of an item's nearest items of other classes that counts, from 1: more"
        " leaves out those whose labels are wrong.",
    )
    max_rank: int = Field(default=50, ge=1, le=1024, description="Last one that counts.")
    relative_margin: DecimalString = Field(
        default="0.05",
        description="A negative counts from (1 + this) times the distance of the nearest item of"
        " the own class on: one that is nearer is likely to be labelled wrongly.",
    )
    max_per_anchor: int = Field(
        default=4, ge=1, le=64, description="Negatives that are kept for an item, the nearest."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.every_steps is None) == (self.every_epochs is None):
            raise ValueError(_ONE_PACE)
        if self.min_rank > self.max_rank:
            raise ValueError(f"{_RANKS} ({self.min_rank} and {self.max_rank})")
        return self


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
    offline: OfflineMiningSpec | None = Field(
        default=None,
        description="Now and then mine the whole training set as well: half of the classes of a"
        " batch are then chosen by the hard negatives of the other half. None when left out.",
    )
