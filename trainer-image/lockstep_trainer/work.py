"""One training, from config to published artifact."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lockstep_core.artifacts import ArtifactStore, ModelManifest, Role, describe_files, sha256_file
from lockstep_core.datasets import flatten_raw
from lockstep_core.encoding import GOLDEN_FILE, MODEL_FILE
from lockstep_core.jobs import JobFailure, Reporter, Stopping, preempted
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import TrainingFacts
from lockstep_core.protocol.training import TrainingSpec
from lockstep_core.threads import cpu_threads
from lockstep_trainer.devices import choose_device
from lockstep_trainer.evaluation import Quality, collapse, embed, measure
from lockstep_trainer.export import PREPROCESS_FILE, WEIGHTS_FILE, ExportError, Parity, export
from lockstep_trainer.networks import Network, build_network
from lockstep_trainer.training import CurvePoint, Diverged, Observer, Stopped, Training, train
from lockstep_trainer.validation import TrainingData, prepare

REPORT_FILE = "report.json"
NORMALISATION = "L2"
ROLES = {
    MODEL_FILE: Role.SERVING,
    PREPROCESS_FILE: Role.SERVING,
    GOLDEN_FILE: Role.CHECK,
    WEIGHTS_FILE: Role.REPORT,
    REPORT_FILE: Role.REPORT,
}


@dataclass(frozen=True)
class Evaluation:
    """The trained encoder beside what no training gives, all on the same held-out items."""

    trained: Quality
    untrained: Quality
    raw: Quality

    def to_wire(self) -> dict[str, dict[str, float]]:
        return {
            "trained": self.trained.to_wire(),
            "untrained": self.untrained.to_wire(),
            "raw": self.raw.to_wire(),
        }


def train_release(
    config: TrainConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping
) -> TrainingFacts:
    """Validates, trains, evaluates, exports and publishes; raises `JobFailure` and what
    `prepare` raises."""
    began = time.monotonic()
    # torch's own choice are the physical cores, and it knows nothing of quotas.
    torch.set_num_threads(min(torch.get_num_threads(), cpu_threads()))
    with tempfile.TemporaryDirectory(prefix="lockstep-train-") as folder:
        workdir = Path(folder)
        reporter.report(Phase.VALIDATING)
        data = prepare(config.training, store, workdir)
        for warning in data.warnings:
            reporter.warn(warning)
        network, training, evaluation = _fit(config.training, data, reporter, stopping)
        stopping.check()
        reporter.report(Phase.EXPORTING)
        files = workdir / "model"
        files.mkdir()
        parity = _export(network, data, files)
        report = _report(config, data, training, evaluation, parity)
        (files / REPORT_FILE).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        stopping.check()
        reporter.report(Phase.PUBLISHING)
        manifest = _manifest(config, data, network, files)
        digest = store.publish(files, manifest)
    return _facts(config, data, manifest, digest, training, evaluation, time.monotonic() - began)


def _fit(
    spec: TrainingSpec, data: TrainingData, reporter: Reporter, stopping: Stopping
) -> tuple[Network, Training, Evaluation]:
    """A trained network and its quality; raises JobFailure when it stopped or diverged."""
    device = choose_device()
    inputs, labels = data.dataset.inputs, data.dataset.labels
    unseen, unseen_labels = inputs[data.eval_rows], labels[data.eval_rows]
    network = build_network(spec.encoder, inputs.shape[1:], seed=spec.seed)
    try:
        reporter.report(Phase.EVALUATING)
        raw = measure(flatten_raw(unseen), unseen_labels)
        untrained = measure(embed(network, unseen, device=device), unseen_labels)
        training = train(
            network,
            inputs[data.train_rows],
            labels[data.train_rows],
            spec,
            device=device,
            observe=_observer(spec, reporter),
            stop=stopping.is_set,
        )
        stopping.check()
        reporter.report(Phase.EVALUATING)
        trained = measure(embed(network, unseen, device=device), unseen_labels)
    except Stopped as stopped:
        raise preempted(str(stopped)) from stopped
    except Diverged as error:
        raise JobFailure(ExitCode.DIVERGED, "LossNotFinite", str(error)) from error
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(spec, device, error) from error
    if problem := collapse(trained, training.final_loss, spec):
        raise JobFailure(ExitCode.DIVERGED, "Collapsed", problem)
    return network, training, Evaluation(trained, untrained, raw)


def _observer(spec: TrainingSpec, reporter: Reporter) -> Observer:
    """Shows a point of the curve; rate and remaining time are the reporter's, from steps."""
    began = time.monotonic()
    items = spec.batch.classes * spec.batch.per_class

    def observe(point: CurvePoint) -> None:
        reporter.report(
            Phase.TRAINING,
            point.step,
            spec.budget.max_steps,
            loss=point.loss,
            activeTriplets=point.active_triplets,
            variance=point.variance,
            itemsPerSecond=point.step * items / max(1e-9, time.monotonic() - began),
        )

    return observe


def _out_of_memory(spec: TrainingSpec, device: torch.device, error: Exception) -> JobFailure:
    return JobFailure(
        ExitCode.OUT_OF_MEMORY,
        "OutOfMemory",
        f"{device} ran out of memory ({str(error).splitlines()[0]}): lower batch.classes (now"
        f" {spec.batch.classes}), batch.perClass (now {spec.batch.per_class}) or encoder.width"
        f" (now {spec.encoder.width})",
    )


def _export(network: Network, data: TrainingData, files: Path) -> Parity:
    unseen = data.dataset.inputs[data.eval_rows]
    try:
        return export(network, unseen, data.dataset.input_spec(), files)
    except ExportError as error:
        raise JobFailure(ExitCode.EXPORT_FAILED, "ExportDiffers", str(error)) from error


def _report(
    config: TrainConfig,
    data: TrainingData,
    training: Training,
    evaluation: Evaluation,
    parity: Parity,
) -> dict[str, Any]:
    """Everything that a person may ask later about this model."""
    return {
        "release": config.release,
        "training": config.training.to_wire(),
        "dataset": data.summary(),
        "quality": evaluation.to_wire(),
        "finalLoss": training.final_loss,
        "activeTriplets": training.active_triplets,
        "anchorsWithoutTriplet": training.skipped_anchors,
        "curve": [point.to_wire() for point in training.curve],
        "parity": parity.to_wire(),
    }


def _manifest(
    config: TrainConfig, data: TrainingData, network: Network, files: Path
) -> ModelManifest:
    return ModelManifest.describe(
        describe_files(files, ROLES),
        preprocessing_digest=sha256_file(files / PREPROCESS_FILE),
        pooling=network.pooling,
        normalisation=NORMALISATION,
        dimension=config.training.encoder.dimension,
        input=data.dataset.input_spec(),
        provenance={
            "release": config.release,
            "releaseUID": config.release_uid,
            "datasetURI": config.training.data.uri,
            "datasetDigest": data.dataset.digest,
            "seed": str(config.training.seed),
            "torch": version("torch"),
            "numpy": np.__version__,
        },
    )


def _facts(
    config: TrainConfig,
    data: TrainingData,
    manifest: ModelManifest,
    digest: Sha256,
    training: Training,
    evaluation: Evaluation,
    seconds: float,
) -> TrainingFacts:
    metrics = {
        "recallAt1": evaluation.trained.recall_at_1,
        "mapAtR": evaluation.trained.map_at_r,
        "rawRecallAt1": evaluation.raw.recall_at_1,
        "untrainedRecallAt1": evaluation.untrained.recall_at_1,
        "variance": evaluation.trained.variance,
        "meanCosine": evaluation.trained.mean_cosine,
        "finalLoss": training.final_loss,
        "activeTriplets": training.active_triplets,
    }
    return TrainingFacts(
        artifact_digest=digest,
        model_digest=manifest.model_digest,
        preprocessing_digest=manifest.preprocessing_digest,
        pooling=manifest.pooling,
        normalisation=manifest.normalisation,
        dimension=manifest.dimension,
        space_id=manifest.space_id,
        steps=config.training.budget.max_steps,
        train_items=len(data.train_rows),
        seconds=round(seconds, 3),
        metrics={name: round(value, 6) for name, value in metrics.items()},
    )
