"""`EmbeddingModel.spec.training`, one concern a file."""

from lockstep_core.protocol.training.batch import BatchSpec
from lockstep_core.protocol.training.budget import BudgetSpec
from lockstep_core.protocol.training.encoder import EncoderKind, EncoderSpec
from lockstep_core.protocol.training.loss import Distance, LossName, LossSpec
from lockstep_core.protocol.training.mining import MiningSpec, MiningStrategy
from lockstep_core.protocol.training.optimizer import OptimizerSpec
from lockstep_core.protocol.training.spec import TrainingSpec

__all__ = [
    "BatchSpec",
    "BudgetSpec",
    "Distance",
    "EncoderKind",
    "EncoderSpec",
    "LossName",
    "LossSpec",
    "MiningSpec",
    "MiningStrategy",
    "OptimizerSpec",
    "TrainingSpec",
]
