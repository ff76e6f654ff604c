"""What to train: the part of `EmbeddingModel.spec.training` that the trainer reads as it stands."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_core.protocol.datasets import LabelledDataset

PositiveDecimal = Annotated[
    str,
    StringConstraints(
        pattern=r"^(0\.[0-9]{0,8}[1-9]|[1-9][0-9]{0,3}(\.[0-9]{1,8})?)$", max_length=13
    ),
]


class EncoderKind(StrEnum):
    """`CNN` for images; `MLP` for images (flattened) and vectors."""

    CNN = "CNN"
    MLP = "MLP"


class EncoderSpec(Contract):
    """The encoder's architecture."""

    kind: EncoderKind = Field(description="`CNN` (images) or `MLP` (images or vectors).")
    dimension: int = Field(default=128, ge=2, le=4096, description="Width of the embeddings.")
    width: int = Field(
        default=32,
        ge=4,
        le=1024,
        description="Channels of the first convolution (CNN), or units of the hidden layers (MLP).",
    )


class LossName(StrEnum):
    TRIPLET = "Triplet"


class Distance(StrEnum):
    """Distance between L2-normalised embeddings that the loss uses."""

    EUCLIDEAN = "Euclidean"
    SQUARED_EUCLIDEAN = "SquaredEuclidean"
    COSINE = "Cosine"


class LossSpec(Contract):
    """The loss that is minimised."""

    name: LossName = Field(
        default=LossName.TRIPLET, description="`Triplet`: hinge on d(a,p)-d(a,n)+margin."
    )
    margin: PositiveDecimal = Field(
        default="0.2", description="Margin of the hinge, in units of `distance`."
    )
    distance: Distance = Field(
        default=Distance.EUCLIDEAN,
        description="`Euclidean`, `SquaredEuclidean` or `Cosine`, of L2-normalised embeddings.",
    )


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


class BatchSpec(Contract):
    """A batch holds `classes` x `perClass` items."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "self.classes * self.perClass >= 8 && self.classes * self.perClass <= 8192",
                "`classes` x `perClass` must be between 8 and 8192",
                ".classes",
            )
        )
    )

    classes: int = Field(default=32, ge=2, le=2048, description="Classes in a batch (P).")
    per_class: int = Field(default=4, ge=2, le=256, description="Items of each class (K).")


class OptimizerSpec(Contract):
    """AdamW with a one-cycle learning rate."""

    learning_rate: PositiveDecimal = Field(
        default="0.004", description="Peak learning rate of the one-cycle schedule."
    )
    weight_decay: Annotated[
        str, StringConstraints(pattern=r"^[0-9]{1,2}(\.[0-9]{1,8})?$", max_length=11)
    ] = Field(default="0.01", description="Decoupled weight decay.")
    clip_norm: PositiveDecimal = Field(default="1.0", description="Bound on the gradient's norm.")


class BudgetSpec(Contract):
    """When training ends."""

    max_steps: int = Field(ge=1, le=10_000_000, description="Optimiser steps.")


class TrainingSpec(Contract):
    """Everything that shapes the embedding space. A change of any field here trains anew."""

    data: LabelledDataset = Field(description="The labelled training set and its split.")
    encoder: EncoderSpec = Field(description="The encoder's architecture.")
    loss: LossSpec = Field(default_factory=LossSpec, description="The loss.")
    mining: MiningSpec = Field(default_factory=MiningSpec, description="Choice of triplets.")
    batch: BatchSpec = Field(default_factory=BatchSpec, description="Composition of a batch.")
    optimizer: OptimizerSpec = Field(default_factory=OptimizerSpec, description="The optimiser.")
    budget: BudgetSpec = Field(description="When training ends.")
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of weights, batches and their order."
    )
