"""`EmbeddingModel.spec.training`, one concern a file."""

from lockstep_core.protocol.training.batch import BatchSpec
from lockstep_core.protocol.training.budget import BudgetSpec, EarlyStoppingSpec, StoppingMetric
from lockstep_core.protocol.training.checkpoint import CheckpointSpec
from lockstep_core.protocol.training.collapse import CollapseAction, CollapseSpec
from lockstep_core.protocol.training.distributed import DistributedSpec
from lockstep_core.protocol.training.encoder import EncoderKind, EncoderSpec
from lockstep_core.protocol.training.evaluation import TrainingEvaluationSpec
from lockstep_core.protocol.training.export import ExportSpec, Int8Spec, Weights
from lockstep_core.protocol.training.loss import AuxiliarySpec, Distance, LossName, LossSpec
from lockstep_core.protocol.training.mining import (
    MemorySpec,
    MiningSpec,
    MiningStrategy,
    OfflineMiningSpec,
    StorageType,
)
from lockstep_core.protocol.training.optimizer import OptimizerSpec, Schedule
from lockstep_core.protocol.training.precision import Autocast, PrecisionSpec
from lockstep_core.protocol.training.spec import SHAPELESS, TrainingSpec
from lockstep_core.protocol.training.tracking import MLflowSpec, TrackingSpec, WandbSpec

__all__ = [
    "SHAPELESS",
    "Autocast",
    "AuxiliarySpec",
    "BatchSpec",
    "BudgetSpec",
    "CheckpointSpec",
    "CollapseAction",
    "CollapseSpec",
    "Distance",
    "DistributedSpec",
    "EarlyStoppingSpec",
    "EncoderKind",
    "EncoderSpec",
    "ExportSpec",
    "Int8Spec",
    "LossName",
    "LossSpec",
    "MLflowSpec",
    "MemorySpec",
    "MiningSpec",
    "MiningStrategy",
    "OfflineMiningSpec",
    "OptimizerSpec",
    "PrecisionSpec",
    "Schedule",
    "StoppingMetric",
    "StorageType",
    "TrackingSpec",
    "TrainingEvaluationSpec",
    "TrainingSpec",
    "WandbSpec",
    "Weights",
]
