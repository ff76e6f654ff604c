"""One training, from config to published artifact."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.datasets.dataset import Inputs
from lockstep_core.jobs import JobFailure, Reporter, Stopping, preempted
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import TrainingFacts
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.artifact.export import Exported, export
from lockstep_trainer.artifact.manifest import describe
from lockstep_trainer.artifact.watching import add_watching, embeddings_in_service
from lockstep_trainer.commands.news import check_news
from lockstep_trainer.distributed.joining import dismiss, join, limit_threads
from lockstep_trainer.distributed.ranks import Rank
from lockstep_trainer.evaluation import Floats
from lockstep_trainer.evaluation.baselines import serving_embeddings
from lockstep_trainer.networks import Network, NetworkError, build_network
from lockstep_trainer.networks.onnx_graph import ExportError
from lockstep_trainer.report import describe_training, write_reports
from lockstep_trainer.runtime.signals import CheckpointRequests
from lockstep_trainer.tracking import Ending, tracked
from lockstep_trainer.training.fit import Fit, fit, make_keeper
from lockstep_trainer.validation import TrainingData, prepare


@dataclass(frozen=True)
class Published:
    """A model in the store, and the files of its reports on this machine."""

    manifest: ModelManifest
    digest: Sha256
    reports: tuple[Path, ...]


@dataclass(frozen=True)
class RunOptions:
    """`requests`: checkpoints that are asked for. `start_anew`: what was saved is removed first.
    `rank`: of process 0, which alone does this, among those that train with it.
    `afterwards` is given what may be cleared away once the result is kept."""

    requests: CheckpointRequests = field(default_factory=CheckpointRequests)
    start_anew: bool = False
    rank: Rank = field(default_factory=Rank)
    afterwards: Callable[[Callable[[], None]], None] = lambda clear: None


def train_release(
    config: TrainConfig,
    store: ArtifactStore,
    reporter: Reporter,
    stopping: Stopping,
    options: RunOptions | None = None,
) -> TrainingFacts:
    """Validates, trains, evaluates, exports and publishes; raises `JobFailure` and what
    `prepare` raises."""
    options = options or RunOptions()
    began = time.monotonic()
    limit_threads(options.rank)
    with (
        tempfile.TemporaryDirectory(prefix="lockstep-train-") as folder,
        tracked(config, reporter.warn) as tracker,
    ):
        data = _validated(config, store, Path(folder), reporter)
        keeper = make_keeper(config, data, store, reporter)
        if options.start_anew:
            keeper.discard()
        network = fresh_network(config.training, data)
        group = join(options.rank, config, data)
        done = fit(
            network,
            config.training,
            data,
            keeper=keeper,
            reporter=reporter,
            stopping=stopping,
            requests=options.requests,
            serving=partial(_serving, config, store, reporter),
            group=group,
            tracker=tracker,
        )
        model = _publish(config, store, data, done, Path(folder) / "model", reporter, stopping)
        facts = _facts(config, data, model, done, time.monotonic() - began)
        tracker.close(Ending.FINISHED, facts.metrics, model.reports)
    options.afterwards(lambda: dismiss(group))
    options.afterwards(keeper.discard)
    return facts


def _validated(
    config: TrainConfig, store: ArtifactStore, workdir: Path, reporter: Reporter
) -> TrainingData:
    reporter.report(Phase.VALIDATING)
    data = prepare(config.training, store, workdir, config.artifacts)
    for warning in data.warnings:
        reporter.warn(warning)
    check_news(config, data)
    return data


def _check(stopping: Stopping, done: Fit) -> None:
    """Raises JobFailure (exit 75) once a stop was asked for."""
    if stopping.is_set():
        kept = done.training.kept_step
        goes_on = None if kept is None else f"its checkpoint of step {kept}"
        raise preempted("stopped by a signal after training, before the end", goes_on=goes_on)


def fresh_network(spec: TrainingSpec, data: TrainingData) -> Network:
    """Untrained, or with the weights of its base; raises JobFailure when it does not fit."""
    try:
        return build_network(
            spec.encoder, data.dataset.inputs.shape[1:], seed=spec.seed, base=data.base
        )
    except NetworkError as error:
        raise JobFailure(ExitCode.BAD_CONFIG, "EncoderDoesNotFit", f"training.{error}") from error


def _serving(
    config: TrainConfig, store: ArtifactStore, reporter: Reporter, unseen: Inputs
) -> Floats | None:
    return serving_embeddings(store, config.stable_artifact_digest, unseen, reporter.warn)


def _publish(
    config: TrainConfig,
    store: ArtifactStore,
    data: TrainingData,
    done: Fit,
    files: Path,
    reporter: Reporter,
    stopping: Stopping,
) -> Published:
    """Exports into the new folder `files` and stores it; raises JobFailure when it must stop."""
    _check(stopping, done)
    manifest, reports = _write(config, data, done, files, reporter)
    _check(stopping, done)
    reporter.report(Phase.PUBLISHING)
    return Published(manifest, store.publish(files, manifest), reports)


def _write(
    config: TrainConfig, data: TrainingData, done: Fit, files: Path, reporter: Reporter
) -> tuple[ModelManifest, tuple[Path, ...]]:
    """Writes the model and its reports into a new folder `files`: its manifest, and the reports."""
    reporter.report(Phase.EXPORTING)
    files.mkdir()
    unseen, _ = data.held_out()
    try:
        exported = export(done.network, unseen, files, config.training.export)
    except ExportError as error:
        raise JobFailure(ExitCode.EXPORT_FAILED, "ExportDiffers", str(error)) from error
    report = describe_training(config, data, done, exported)
    reports = write_reports(report, data, done.embeddings, files, reporter.warn)
    manifest = _manifest(config, data, done, files, exported, reports)
    embeddings = embeddings_in_service(manifest, files, unseen, done.embeddings)
    seed = config.training.seed
    manifest = add_watching(manifest, files, embeddings, seed=seed, warn=reporter.warn)
    return manifest, tuple(files / name for name in reports)


def _manifest(
    config: TrainConfig,
    data: TrainingData,
    done: Fit,
    files: Path,
    exported: Exported,
    reports: tuple[str, ...],
) -> ModelManifest:
    return describe(
        done.network,
        exported,
        files,
        reports=reports,
        provenance={
            "release": config.release,
            "releaseUID": config.release_uid,
            "datasetURI": config.training.data.uri,
            "datasetDigest": data.dataset.digest,
            "seed": str(config.training.seed),
        },
    )


def _facts(
    config: TrainConfig,
    data: TrainingData,
    model: Published,
    done: Fit,
    seconds: float,
) -> TrainingFacts:
    training, evaluation = done.training, done.evaluation
    metrics = {
        "recallAt1": evaluation.trained.quality.recall_at_1,
        "mapAtR": evaluation.trained.quality.map_at_r,
        "rawRecallAt1": evaluation.raw.quality.recall_at_1,
        "untrainedRecallAt1": evaluation.untrained.quality.recall_at_1,
        "variance": evaluation.trained.quality.variance,
        "meanCosine": evaluation.trained.quality.mean_cosine,
        "finalLoss": training.final_loss,
        "activeTriplets": training.active_triplets,
    }
    if done.devices:
        metrics["gpuSeconds"] = training.seconds * done.devices
    if training.exported_step != training.steps:
        metrics["exportedStep"] = training.exported_step
    if training.rewinds:
        metrics["rewinds"] = training.rewinds
    return model.manifest.training_facts(
        model.digest,
        seconds=seconds,
        steps=training.steps,
        train_items=len(data.train_rows),
        metrics=metrics,
        resumed_from_step=training.resumed_from_step,
        findings=training.findings,
    )
