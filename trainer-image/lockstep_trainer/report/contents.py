"""`report.json`: everything that a person may ask later about a model."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lockstep_core.protocol.config import TrainConfig
from lockstep_trainer.artifact.export import Exported
from lockstep_trainer.evaluation.mistakes import worst_classes, worst_confusions
from lockstep_trainer.training.fit import Fit
from lockstep_trainer.validation import TrainingData

PACKAGES = ("lockstep", "torch", "numpy", "onnx", "onnxruntime", "safetensors")


def describe_training(
    config: TrainConfig, data: TrainingData, done: Fit, exported: Exported
) -> dict[str, Any]:
    """JSON-ready. Rows are those of the data set, from 0."""
    training = done.training
    return {
        "release": config.release,
        "training": config.training.to_wire(),
        "dataset": data.summary(),
        "quality": done.evaluation.to_wire(),
        "findings": [finding.to_wire() for finding in training.findings],
        "steps": training.steps,
        "exportedStep": training.exported_step,
        "resumedFromStep": training.resumed_from_step,
        "rewinds": training.rewinds,
        "trainingSeconds": round(training.seconds, 3),
        "gpuSeconds": round(training.seconds * done.devices, 3),
        "finalLoss": training.final_loss,
        "activeTriplets": training.active_triplets,
        "anchorsWithoutTriplet": training.skipped_anchors,
        "curve": [point.to_wire() for point in training.curve],
        "evaluations": [point.to_wire() for point in training.eval_points],
        "offlineMinings": [mined.to_wire() for mined in training.minings],
        "worstClasses": _worst_classes(data, done),
        "confusions": _confusions(data, done),
        "contradicted": [
            {"row": int(data.train_rows[row]), "label": label, "neighbours": other}
            for row, label, other in done.contradicted
        ],
        "parity": exported.parity.to_wire(),
        "int8Top10Overlap": exported.overlap,
        "float16": exported.rounding and exported.rounding.to_wire(),
        "versions": versions(),
    }


def _worst_classes(data: TrainingData, done: Fit) -> list[dict[str, Any]]:
    labels = data.dataset.labels[data.eval_rows]
    worst = worst_classes(done.evaluation.trained.ranking, labels)
    return [each.to_wire() for each in worst]


def _confusions(data: TrainingData, done: Fit) -> list[dict[str, Any]]:
    """`item` is taken for `nearest`; `own` is the nearest of its own class."""
    labels = data.dataset.labels[data.eval_rows]
    return [
        {
            "item": _item(data, confusion.row),
            "nearest": _item(data, confusion.nearest),
            "own": _item(data, confusion.own),
            "distance": round(confusion.distance, 6),
            "ownDistance": round(confusion.own_distance, 6),
        }
        for confusion in worst_confusions(done.evaluation.trained.ranking, labels)
    ]


def _item(data: TrainingData, held_out: int) -> dict[str, Any]:
    row = int(data.eval_rows[held_out])
    return {
        "row": row,
        "id": str(data.dataset.ids[row]),
        "label": str(data.dataset.labels[row]),
    }


def versions() -> dict[str, str]:
    """Of Python and of the packages that shape the result, as far as they are installed as such."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            # The image holds our own sources as plain folders.
            continue
    return installed
