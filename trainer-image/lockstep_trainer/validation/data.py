"""A set that can be trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.datasets import Dataset, DatasetError, Strings
from lockstep_core.datasets.dataset import Inputs
from lockstep_core.jobs import JobFailure, as_failure
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.pretrained.base import Pretrained
from lockstep_trainer.validation.examination import Examination, examine
from lockstep_trainer.validation.report import Side

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingData:
    """A set that can be trained on; `warnings` say what may disappoint."""

    dataset: Dataset
    train_rows: Rows
    eval_rows: Rows
    warnings: tuple[str, ...]
    base: Pretrained | None = None

    def training(self) -> tuple[Inputs, Strings]:
        """Items and labels to train on."""
        return self.dataset.inputs[self.train_rows], self.dataset.labels[self.train_rows]

    def held_out(self) -> tuple[Inputs, Strings]:
        """Items and labels that are only measured."""
        return self.dataset.inputs[self.eval_rows], self.dataset.labels[self.eval_rows]

    def summary(self) -> dict[str, Any]:
        """What a report of the training says of its data."""
        labels = self.dataset.labels
        return {
            "digest": self.dataset.digest,
            "input": self.dataset.input_spec().to_wire(),
            "training": Side.of(labels[self.train_rows]).to_wire(),
            "heldOut": Side.of(labels[self.eval_rows]).to_wire(),
            "warnings": list(self.warnings),
        }


def prepare(
    spec: TrainingSpec, store: ArtifactStore, workdir: Path, artifacts: ArtifactsSpec
) -> TrainingData:
    """Loads, splits and checks the set of `spec.data`, and the base of its encoder.

    Raises:
        DatasetError: with all problems at once.
        JobFailure: the encoder cannot read such items, or its base cannot be used (exit code
            BAD_CONFIG).
        ArtifactError, StoreError: as `load_dataset`.
    """
    examination = examine(spec, store, workdir, artifacts)
    if examination.config_errors and (failure := failure_of(examination)):
        raise failure
    if examination.errors or examination.dataset is None or examination.split is None:
        raise DatasetError(examination.errors)
    warnings = tuple(map(str, examination.warnings))
    return TrainingData(examination.dataset, *examination.split, warnings, examination.base)


def failure_of(examination: Examination) -> JobFailure | None:
    """How a Job ends that finds this. Errors of the config come first: whoever changes it may not
    need to change the data."""
    if examination.config_errors:
        text = "; ".join(map(str, (*examination.config_errors, *examination.errors)))
        return JobFailure(ExitCode.BAD_CONFIG, "EncoderDoesNotFit", text)
    return as_failure(DatasetError(examination.errors)) if examination.errors else None
