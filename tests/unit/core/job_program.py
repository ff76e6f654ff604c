"""A Job in the small: what it does is told by `LOCKSTEP_TEST_DOES`. Run by `test_running.py`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from lockstep_core.artifacts import (
    ArtifactStore,
    BuildManifest,
    InputKind,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    sha256_bytes,
)
from lockstep_core.datasets import DatasetError, Problem
from lockstep_core.encoding import EncodingError, SelfCheckError
from lockstep_core.jobs import Facts, JobFailure, Reporter, Stopping, run_job
from lockstep_core.protocol.config import JobConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.indexing import IndexSpec
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import (
    BuildFacts,
    EvaluationFacts,
    Program,
    RecallFacts,
    SampleStatistics,
    TrainingFacts,
)

DOES = os.environ.get("LOCKSTEP_TEST_DOES", "Train")
STATISTICS = SampleStatistics(n=300, mean=0.953333333, standard_deviation=0.211234567)


def train(config: JobConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping) -> Facts:
    work = Path(os.environ["LOCKSTEP_TEST_WORK"])
    work.mkdir(exist_ok=True)
    (work / "model.onnx").write_bytes(b"weights")
    for step in range(3):
        reporter.report(Phase.TRAINING, step, 3, loss=0.5)
        stopping.check()
    manifest = ModelManifest.describe(
        describe_files(work, {"model.onnx": Role.SERVING}),
        preprocessing_digest=sha256_bytes(b""),
        pooling="None",
        normalisation="L2",
        dimension=2,
        input=InputSpec(kind=InputKind.VECTOR, shape=(2,), dtype="float32"),
        provenance={"attempt": str(config.attempt)},
    )
    return TrainingFacts(
        artifact_digest=store.publish(work, manifest),
        model_digest=manifest.model_digest,
        preprocessing_digest=manifest.preprocessing_digest,
        pooling=manifest.pooling,
        normalisation=manifest.normalisation,
        dimension=manifest.dimension,
        space_id=manifest.space_id,
        steps=3,
        train_items=10,
        seconds=float(config.attempt),
    )


def build(config: JobConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping) -> Facts:
    work = Path(os.environ["LOCKSTEP_TEST_WORK"])
    work.mkdir(exist_ok=True)
    (work / "index.faiss").write_bytes(b"index")
    digest = sha256_bytes(b"")
    manifest = BuildManifest(
        files=describe_files(work, {"index.faiss": Role.SERVING}),
        space_id="0" * 12,
        artifact_digest=digest,
        source_digest=digest,
        rows=1,
        dimension=2,
        index="glyphs",
        recipe=IndexSpec(),
        recall_k=1,
        recall=STATISTICS,
        seed=0,
    )
    return BuildFacts(
        index="glyphs",
        build_digest=store.publish(work, manifest),
        space_id=manifest.space_id,
        source_digest=digest,
        rows=1,
        expected_rows=1,
        dimension=2,
        bytes=5,
        recall_k=1,
        recall=STATISTICS,
        seconds=float(config.attempt),
    )


def evaluate(
    config: JobConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping
) -> Facts:
    ks = range(1, int(os.environ.get("LOCKSTEP_TEST_KS", "1")) + 1)
    both = {"stable": STATISTICS, "gain_over_stable": STATISTICS}
    recall = [
        RecallFacts(
            k=k, candidate=STATISTICS, baseline=STATISTICS, gain_over_baseline=STATISTICS, **both
        )
        for k in ks
    ]
    return EvaluationFacts(
        artifact_digest=sha256_bytes(b""),
        dataset_digest=sha256_bytes(b""),
        items=config.attempt,
        classes=2,
        recall=tuple(recall),
        variance=0.9,
        mean_cosine=0.1,
    )


def wait(config: JobConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping) -> Facts:
    """Ignores the first signal when it is told to, as a hung step would."""
    reporter.report(Phase.TRAINING, 1, 100)
    print("waiting", file=sys.stderr, flush=True)
    while True:
        if DOES != "Hang":
            stopping.check()
        time.sleep(0.01)


def unkept(
    config: JobConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping
) -> Facts:
    """While the work is done, the place of the results becomes unusable."""
    Path(config.artifacts.uri.removeprefix("file://"), "results").write_bytes(b"in the way")
    return evaluate(config, store, reporter, stopping)


FAILURES: dict[str, Exception] = {
    "DatasetError": DatasetError([Problem("`inputs` is empty", 1, (), "add items")]),
    "EncodingError": EncodingError("items are too wide", item=3),
    "SelfCheckError": SelfCheckError("golden vectors differ"),
    "MemoryError": MemoryError("Unable to allocate 3 TiB"),
    "Diverged": JobFailure(ExitCode.DIVERGED, "Diverged", "the loss is not finite"),
    "ExportFailed": JobFailure(ExitCode.EXPORT_FAILED, "ExportFailed", "parity 0.1"),
    "Internal": ZeroDivisionError("division by zero"),
    "Long": RuntimeError("\U0001f600" * 5000),
    "Surrogate": RuntimeError("name \udcff"),
}


def fail(config: JobConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping) -> Facts:
    if DOES == "ArtifactError":
        store.verify(sha256_bytes(b"never published"), ModelManifest)
    if DOES == "Allocate":
        np.ones(2**50)
    raise FAILURES[DOES]


WORK = {
    "Train": train,
    "Build": build,
    "Evaluate": evaluate,
    "Unkept": unkept,
    "Wait": wait,
    "Hang": wait,
}

PROGRAMS = {"Build": Program.BUILD, "Evaluate": Program.EVALUATE, "Unkept": Program.EVALUATE}

if __name__ == "__main__":
    sys.exit(
        run_job(
            program=PROGRAMS.get(DOES, Program.TRAIN),
            config_type=JobConfig,
            work=WORK.get(DOES, fail),
            config_file=Path(sys.argv[1]) if len(sys.argv) > 1 else None,
        )
    )
