"""The data set, checked before a second of training: what stops it, and what to know about it.

Needs no torch, so that `validate` answers at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.datasets import Dataset, check_trainable, load_dataset, split_by_class
from lockstep_core.datasets.dataset import Inputs, Strings
from lockstep_core.encoding.texts import is_texts
from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training import BatchSpec, TrainingSpec
from lockstep_trainer.preparing import check_reads, check_texts, text_preprocessing
from lockstep_trainer.pretrained import NetworkError, Pretrained, fetch_base

Rows = NDArray[np.int64]

FEW_CLASSES = 20
"""Trained on fewer classes, an encoder learns to collapse these few; unseen ones get worse than
they were in raw pixels (measured on handwritten digits: recall@1 fell from 0.99 to 0.86)."""


@dataclass(frozen=True)
class TrainingData:
    """A set that can be trained on; `warnings` say what may disappoint."""

    dataset: Dataset
    train_rows: Rows
    eval_rows: Rows
    warnings: tuple[str, ...]
    base: Pretrained | None = None

    def summary(self) -> dict[str, Any]:
        """What `validate` prints."""
        labels = self.dataset.labels
        return {
            "digest": self.dataset.digest,
            "input": self.dataset.input_spec().to_wire(),
            "training": _size(labels[self.train_rows]),
            "heldOut": _size(labels[self.eval_rows]),
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
    dataset = load_dataset(spec.data, store, workdir)
    train_rows, eval_rows = split_by_class(dataset.labels, spec.data.split)
    check_trainable(dataset, train_rows, eval_rows, spec.batch)
    base = _check_encoder(spec, dataset, artifacts, workdir)
    found = [
        *_class_warnings(dataset.labels[train_rows], spec.batch),
        *_twin_warnings(dataset.inputs, dataset.labels),
    ]
    return TrainingData(dataset, train_rows, eval_rows, tuple(found), base)


def _check_encoder(
    spec: TrainingSpec, dataset: Dataset, artifacts: ArtifactsSpec, workdir: Path
) -> Pretrained | None:
    """The base that training begins with, if there is one; raises as `prepare` does."""
    try:
        check_reads(spec.encoder.kind, dataset.inputs.shape[1:])
        base = None
        if spec.encoder.base is not None:
            base = fetch_base(spec.encoder.base, artifacts, workdir / "base")
        if is_texts(dataset.inputs):
            check_texts(text_preprocessing(spec.encoder, base), dataset.inputs)
        return base
    except NetworkError as error:
        raise JobFailure(
            ExitCode.BAD_CONFIG, "EncoderDoesNotFit", f"{spec.data.uri}: training.{error}"
        ) from error


def _class_warnings(labels: Strings, batch: BatchSpec) -> list[str]:
    classes, counts = np.unique(labels, return_counts=True)
    found = []
    if len(classes) < FEW_CLASSES:
        found.append(
            f"only {len(classes)} classes to train on: fewer than {FEW_CLASSES} rarely generalise"
            " to unseen ones; compare recall with the raw baseline"
        )
    if alone := int((counts == 1).sum()):
        found.append(
            f"{alone} training classes (e.g. {', '.join(classes[counts == 1][:5])}) have a single"
            " item: they have no positive pair and are left out of the batches"
        )
    if batch.per_class > (usual := int(np.median(counts))):
        found.append(
            f"batch.perClass is {batch.per_class}, but a class has {usual} items in the median:"
            f" smaller ones repeat items within a batch; set it to {max(2, usual)}"
        )
    return found


def _twin_warnings(inputs: Inputs, labels: Strings) -> list[str]:
    """Equal items under two labels: each pulls the encoder both ways."""
    # Digests and not the bytes, which would be a second copy of the set.
    first: dict[bytes, int] = {}
    pairs = []
    for row, item in enumerate(inputs):
        digest = hashlib.blake2b(np.ascontiguousarray(item).data, digest_size=16).digest()
        seen = first.setdefault(digest, row)
        if labels[seen] != labels[row]:
            pairs.append(f"{labels[seen]} = {labels[row]} (rows {seen} and {row})")
    if not pairs:
        return []
    return [
        f"{len(pairs)} items are equal to one of another class (e.g. {'; '.join(pairs[:5])}):"
        " relabel or remove them"
    ]


def _size(labels: Strings) -> dict[str, int]:
    return {"items": len(labels), "classes": len(np.unique(labels))}
