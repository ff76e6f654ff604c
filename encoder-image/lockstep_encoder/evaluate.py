"""`lockstep-encoder evaluate`: candidate, raw baseline and stable over the same held-out items.

It measures and judges nothing: the operator compares the statistics with the bounds of the
EmbeddingModel.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.datasets import (
    Dataset,
    DatasetError,
    Strings,
    distinct_items,
    flatten_raw,
    load_dataset,
    split,
)
from lockstep_core.encoding import Encoder, Raw
from lockstep_core.jobs import Reporter, Stopping, run_job
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import EvaluateConfig
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import EvaluationFacts, Program, RecallFacts
from lockstep_core.quality.recall import geometry
from lockstep_core.quality.statistics import DIGITS
from lockstep_encoder.measure import Vectors, recall_facts


def evaluate(config_path: Path | None, *, threads: int) -> int:
    """Runs the Job with `threads` in one inference; returns the exit code."""
    return run_job(
        program=Program.EVALUATE,
        config_type=EvaluateConfig,
        work=partial(measure, threads=threads),
        config_file=config_path,
    )


def measure(
    config: EvaluateConfig,
    store: ArtifactStore,
    reporter: Reporter,
    stopping: Stopping,
    *,
    threads: int,
) -> EvaluationFacts:
    """Facts about the candidate on the distinct held-out items, compared as in `recall_facts`.

    Raises DatasetError, ArtifactError, StoreError, SelfCheckError or EncodingError.
    """
    reporter.report(Phase.VALIDATING)
    with tempfile.TemporaryDirectory(prefix="lockstep-evaluate-") as folder:
        encoder = _load(store, config.artifact_digest, Path(folder) / "candidate", threads)
        stopping.check()
        reading = encoder.input.reading
        dataset = load_dataset(config.data, store, Path(folder), reading=reading)
        held_out = split(dataset, config.data.split)[1]
        held_out = distinct_items(dataset.inputs, dataset.labels, held_out)
        inputs, labels = dataset.inputs[held_out], dataset.labels[held_out]
        stopping.check()
        candidate = _encode(encoder, inputs, reporter, stopping)
        stable = None
        if config.stable_artifact_digest is not None:
            encoder = _load(store, config.stable_artifact_digest, Path(folder) / "stable", threads)
            if encoder.input.reading is not reading:
                dataset = _read_again(config, store, dataset, encoder, Path(folder), reporter)
            seen = dataset.inputs[held_out]
            stable = _encode_as_stable(encoder, dataset, seen, reporter, stopping)
    recall = recall_facts(
        config.recall_at,
        labels,
        candidate=candidate,
        baseline=flatten_raw(inputs),
        stable=stable,
        on_queries=partial(_advance, reporter, stopping, Phase.EVALUATING),
    )
    return _facts(config, dataset.digest, labels, candidate, recall)


def _facts(
    config: EvaluateConfig,
    dataset_digest: Sha256,
    labels: Strings,
    candidate: Vectors,
    recall: tuple[RecallFacts, ...],
) -> EvaluationFacts:
    """The recalls, with the size of the held-out set and the spread of the embeddings."""
    variance, mean_cosine = geometry(candidate)
    return EvaluationFacts(
        artifact_digest=config.artifact_digest,
        dataset_digest=dataset_digest,
        items=len(labels),
        classes=len(np.unique(labels)),
        recall=recall,
        variance=round(variance, DIGITS),
        mean_cosine=round(mean_cosine, DIGITS),
    )


def _load(store: ArtifactStore, digest: Sha256, into: Path, threads: int) -> Encoder:
    """An encoder that was verified and still gives its golden vectors."""
    manifest = store.fetch(digest, into, ModelManifest)
    encoder = Encoder.load(into, manifest, threads=threads)
    encoder.check_golden()
    return encoder


def _read_again(
    config: EvaluateConfig,
    store: ArtifactStore,
    dataset: Dataset,
    encoder: Encoder,
    folder: Path,
    reporter: Reporter,
) -> Dataset:
    """`dataset` with its images read as `encoder` reads them when it serves; as it is, with a
    warning, when they are of several sizes so."""
    work, reading = folder / "again", encoder.input.reading
    work.mkdir()
    try:
        return load_dataset(config.data, store, work, reading=reading)
    except DatasetError:
        reporter.warn(f"the images are of several forms {reading}: stable sees them as candidate")
        return dataset


def _encode_as_stable(
    encoder: Encoder, dataset: Dataset, inputs: Raw, reporter: Reporter, stopping: Stopping
) -> Vectors | None:
    """None, with a warning, when the stable release does not take such items."""
    if not encoder.input.same_items(dataset.input_spec()):
        reporter.warn("stable takes other inputs than this data set: not compared with it")
        return None
    return _encode(encoder, inputs, reporter, stopping)


def _encode(
    encoder: Encoder,
    inputs: Raw,
    reporter: Reporter,
    stopping: Stopping,
) -> Vectors:
    def advance(done: int) -> None:
        _advance(reporter, stopping, Phase.EMBEDDING, done, len(inputs))

    return encoder.encode(inputs, on_batch=advance)


def _advance(reporter: Reporter, stopping: Stopping, phase: Phase, done: int, total: int) -> None:
    """Tells of a step; raises JobFailure when the Job is to stop."""
    stopping.check()
    reporter.report(phase, done, total)
