"""What to train: the part of `EmbeddingModel.spec.training` that the trainer reads as it stands."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.datasets import LabelledDataset
from lockstep_core.protocol.training.batch import BatchSpec
from lockstep_core.protocol.training.budget import BudgetSpec
from lockstep_core.protocol.training.encoder import EncoderSpec
from lockstep_core.protocol.training.loss import LossSpec
from lockstep_core.protocol.training.mining import MiningSpec
from lockstep_core.protocol.training.optimizer import OptimizerSpec


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
