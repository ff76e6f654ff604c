"""What to train: the part of `EmbeddingModel.spec.training` that the trainer reads as it stands."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_core.protocol.datasets import LabelledDataset
from lockstep_core.protocol.training.batch import BatchSpec
from lockstep_core.protocol.training.budget import BudgetSpec
from lockstep_core.protocol.training.checkpoint import CheckpointSpec
from lockstep_core.protocol.training.collapse import CollapseSpec
from lockstep_core.protocol.training.distributed import DistributedSpec
from lockstep_core.protocol.training.encoder import EncoderSpec
from lockstep_core.protocol.training.evaluation import TrainingEvaluationSpec
from lockstep_core.protocol.training.export import ExportSpec
from lockstep_core.protocol.training.loss import PAIRWISE, LossName, LossSpec
from lockstep_core.protocol.training.mining import MiningSpec, MiningStrategy
from lockstep_core.protocol.training.optimizer import OptimizerSpec
from lockstep_core.protocol.training.precision import PrecisionSpec
from lockstep_core.protocol.training.tracking import TrackingSpec

SHAPELESS = frozenset({"checkpoint", "distributed", "tracking"})
"""Fields that leave the trained weights as they are, up to the rounding that another machine brings
as well: a change of them trains nothing."""


_EVALUATED = "`budget.earlyStopping` needs `evaluation.everySteps`: it looks at evaluations"
_MINED = (
    "`mining.strategy` and `mining.skipHardest` must not be set unless `loss.name` is Triplet: the"
    " others take all pairs or none"
)
_REMEMBERED = (
    "`mining.memory` must not be set when `loss.name` is ProxyAnchor or ArcFace: they compare items"
    " with learned vectors"
)
_BOUNDED = (
    "`loss.softMargin` must not be true when `mining.strategy` is AllSemiHard: semi-hard negatives"
    " lie within a margin"
)
_SHARED = (
    "`distributed.pods` x `distributed.processesPerPod` must not exceed `batch.classes` x"
    " `batch.perClass`: each process embeds a share of the batch"
)


class TrainingSpec(Contract):
    """All that shapes the embedding space: a change of any field but `SHAPELESS` trains anew."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.budget.earlyStopping) || has(self.evaluation.everySteps)",
                _EVALUATED,
                ".evaluation.everySteps",
            ),
            rule(
                "!has(self.optimizer.warmupSteps)"
                " || self.optimizer.warmupSteps < self.budget.maxSteps",
                "`optimizer.warmupSteps` must be less than `budget.maxSteps`",
                ".optimizer.warmupSteps",
            ),
            rule(
                "self.loss.name == 'Triplet'"
                " || (self.mining.strategy == 'SemiHard' && self.mining.skipHardest == 0)",
                _MINED,
                ".mining.strategy",
            ),
            rule(
                "!has(self.mining.memory) || !(self.loss.name in ['ProxyAnchor', 'ArcFace'])",
                _REMEMBERED,
                ".mining.memory",
            ),
            rule(
                "!self.loss.softMargin || self.mining.strategy != 'AllSemiHard'",
                _BOUNDED,
                ".loss.softMargin",
            ),
            rule(
                "self.distributed.pods * self.distributed.processesPerPod"
                " <= self.batch.classes * self.batch.perClass",
                _SHARED,
                ".distributed",
            ),
        )
    )

    data: LabelledDataset = Field(description="The labelled training set and its split.")
    encoder: EncoderSpec = Field(description="The encoder's architecture.")
    loss: LossSpec = Field(default_factory=LossSpec, description="The loss.")
    mining: MiningSpec = Field(default_factory=MiningSpec, description="Choice of triplets.")
    batch: BatchSpec = Field(default_factory=BatchSpec, description="Composition of a batch.")
    optimizer: OptimizerSpec = Field(default_factory=OptimizerSpec, description="The optimiser.")
    budget: BudgetSpec = Field(description="When training ends.")
    evaluation: TrainingEvaluationSpec = Field(
        default_factory=TrainingEvaluationSpec, description="Looks at held-out items on the way."
    )
    precision: PrecisionSpec = Field(
        default_factory=PrecisionSpec, description="The arithmetic of the encoder's layers."
    )
    collapse: CollapseSpec = Field(
        default_factory=CollapseSpec, description="What a collapse is, and what happens then."
    )
    checkpoint: CheckpointSpec = Field(
        default_factory=CheckpointSpec,
        description="How often work is saved. No release is made for a change of it.",
    )
    export: ExportSpec = Field(
        default_factory=ExportSpec, description="What is published of the encoder."
    )
    distributed: DistributedSpec = Field(
        default_factory=DistributedSpec,
        description="How many processes train. No release is made for a change of it; the next"
        " attempt honours it.",
    )
    tracking: TrackingSpec | None = Field(
        default=None,
        description="Where else it is written down. No release is made for a change of it.",
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of weights, batches and their order."
    )

    def shaping(self) -> dict[str, Any]:
        """The wire form of what shapes the space. Defaults are left out, so that a later version
        with more fields asks for the same."""
        wanted = set(TrainingSpec.model_fields) - SHAPELESS
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=wanted)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        """The rules above, for configs that no API server has checked."""
        if self.budget.early_stopping is not None and self.evaluation.every_steps is None:
            raise ValueError(_EVALUATED)
        warmup = self.optimizer.warmup_steps
        if warmup is not None and warmup >= self.budget.max_steps:
            raise ValueError(
                f"`optimizer.warmupSteps` ({warmup}) must be less than `budget.maxSteps`"
                f" ({self.budget.max_steps})"
            )
        items = self.batch.classes * self.batch.per_class
        if self.distributed.processes > items:
            raise ValueError(f"{_SHARED} ({self.distributed.processes} and {items})")
        self._mining_fits_the_loss()
        return self

    def _mining_fits_the_loss(self) -> None:
        mining, loss = self.mining, self.loss
        chosen = mining.strategy is not MiningStrategy.SEMI_HARD or mining.skip_hardest
        if loss.name is not LossName.TRIPLET and chosen:
            raise ValueError(f"{_MINED} (it is {loss.name})")
        if mining.memory is not None and loss.name not in PAIRWISE:
            raise ValueError(f"{_REMEMBERED} (it is {loss.name})")
        if loss.soft_margin and mining.strategy is MiningStrategy.ALL_SEMI_HARD:
            raise ValueError(_BOUNDED)
