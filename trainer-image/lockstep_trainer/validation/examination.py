"""All errors of a set, and all warnings about it, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.datasets import (
    Dataset,
    DatasetError,
    Problem,
    Reading,
    is_text,
    read_dataset,
    split_parts,
)
from lockstep_core.datasets.problems import problem
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.datasets import SplitBy
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.pretrained.base import NetworkError, Pretrained, fetch_base
from lockstep_trainer.pretrained.text_inputs import check_reads, check_texts, text_preprocessing
from lockstep_trainer.validation.cautions import class_cautions, content_cautions
from lockstep_trainer.validation.neighbours import neighbour_cautions
from lockstep_trainer.validation.trainable import trainable_problems

Rows = NDArray[np.int64]


@dataclass
class Examination:
    """What is known of a set. `split` are the rows to train on and those held out.

    `errors` are to be mended in the data (exit code BAD_DATASET), `config_errors` in the config
    (BAD_CONFIG). `warnings` stop nothing. `raw_recall` is that of the held-out items without any
    encoder, in the sample that was looked at.
    """

    digest: Sha256 | None = None
    dataset: Dataset | None = None
    split: tuple[Rows, Rows] | None = None
    base: Pretrained | None = None
    raw_recall: float | None = None
    errors: list[Problem] = field(default_factory=list)
    config_errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def examine(
    spec: TrainingSpec, store: ArtifactStore, workdir: Path, artifacts: ArtifactsSpec
) -> Examination:
    """Reads the set and looks at as much of it as is sound.

    Raises ArtifactError and StoreError as `load_dataset` does: then nothing can be said of it.
    """
    examination = Examination()
    try:
        reading = read_dataset(spec.data, store, workdir)
    except DatasetError as error:
        examination.errors += error.problems
        return examination
    examination.digest = reading.digest
    examination.errors += reading.problems
    _examine_split(examination, spec, reading)
    if reading.inputs is not None:
        _examine_encoder(examination, spec, reading, artifacts, workdir)
    if not examination.errors:
        examination.dataset = dataset = reading.dataset()
        if examination.split is not None:
            examination.warnings += content_cautions(dataset, examination.split)
            cautions, examination.raw_recall = neighbour_cautions(dataset, examination.split)
            examination.warnings += cautions
    return examination


def _examine_split(examination: Examination, spec: TrainingSpec, reading: Reading) -> None:
    labels = reading.labels
    if labels is None:
        return
    decides = {
        SplitBy.CLASS: labels,
        SplitBy.GROUP: reading.groups,
        SplitBy.HASH: reading.inputs,
    }[spec.data.split.by]
    # A column that is damaged, or of another length, was reported already.
    if decides is None or len(decides) != len(labels):
        return
    try:
        train, held_out = split_parts(spec.data.split, labels, reading.groups, reading.inputs)
    except DatasetError as error:
        examination.errors += error.problems
        return
    examination.split = train, held_out
    by = spec.data.split.by
    examination.errors += trainable_problems(labels, train, held_out, spec.batch, by)
    examination.warnings += class_cautions(labels[train], labels[held_out], spec.batch)


def _examine_encoder(
    examination: Examination,
    spec: TrainingSpec,
    reading: Reading,
    artifacts: ArtifactsSpec,
    workdir: Path,
) -> None:
    inputs = reading.inputs
    if inputs is None:
        return
    try:
        check_reads(spec.encoder.kind, inputs.shape[1:])
        if spec.encoder.base is not None:
            examination.base = fetch_base(spec.encoder.base, artifacts, workdir / "base")
        if is_text(inputs):
            check_texts(text_preprocessing(spec.encoder, examination.base), inputs)
    except NetworkError as error:
        what, _, fix = f"{spec.data.uri}: training.{error}".rpartition("; ")
        examination.config_errors.append(
            problem(what or fix, (), fix if what else "change training.encoder", count=1)
        )
    except DatasetError as error:
        examination.errors += error.problems
