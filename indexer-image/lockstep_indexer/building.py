"""`build`: from a model artifact and a corpus to a sealed index, and its facts as re-opened."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.datasets import Dataset, load_dataset
from lockstep_core.datasets.dataset import Inputs
from lockstep_core.encoding import Encoder, EncodingError
from lockstep_core.jobs import JobFailure, Reporter, Stopping, run_job
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import BuildConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import BuildFacts, Program
from lockstep_indexer.opened_build import VECTORS_FILE
from lockstep_indexer.sealing import Advance, Corpus, reopen, seal
from lockstep_indexer.vectors import (
    DegenerateVectorsError,
    StoredVectors,
    Vectors,
    check_normalised,
    round_for_storage,
)

# A stop is heeded, and progress told, once a block.
EMBED_ROWS = 1024
# Leave-one-out search needs an other row.
MIN_ROWS = 2


def run_build(config_file: Path | None = None, *, threads: int) -> int:
    """The Job `build`; returns the exit code. `threads` embed."""
    return run_job(
        program=Program.BUILD,
        config_type=BuildConfig,
        work=partial(build, threads=threads),
        config_file=config_file,
    )


def build(
    config: BuildConfig,
    store: ArtifactStore,
    reporter: Reporter,
    stopping: Stopping,
    *,
    threads: int = 1,
) -> BuildFacts:
    """Builds, publishes, re-opens what was published, and reports what that is like.

    Raises JobFailure or what `jobs.as_failure` knows. Nothing is published then, unless it is the
    published copy that turns out to be damaged.
    """
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lockstep-build-") as folder:
        work = Path(folder)
        reporter.report(Phase.VALIDATING)
        encoder = _release_encoder(config, store, work / "model", threads)
        dataset = load_dataset(
            config.source, store, work, need_labels=False, reading=encoder.input.reading
        )
        _check_corpus(config, dataset, encoder)
        sealed = work / "sealed"
        sealed.mkdir()

        def advance(phase: Phase, done: int, total: int) -> None:
            stopping.check()
            reporter.report(phase, done, total)

        corpus = Corpus(
            ids=dataset.ids.tolist(),
            labels=dataset.labels.tolist(),
            vectors=_embed_corpus(dataset, encoder, sealed / VECTORS_FILE, advance),
            digest=dataset.digest,
        )
        digest = seal(config, corpus, _embed_golden(encoder), sealed, store, advance)
        return _facts(config, store, digest, len(dataset), work / "published", begun)


def _release_encoder(
    config: BuildConfig, store: ArtifactStore, into: Path, threads: int
) -> Encoder:
    """The release's own encoder; raises JobFailure when the artifact is of another space."""
    manifest = store.fetch(config.artifact_digest, into, ModelManifest)
    if manifest.space_id != config.space_id:
        raise JobFailure(
            ExitCode.DIGEST_MISMATCH,
            "SpaceMismatch",
            f"model artifact {config.artifact_digest} spans space {manifest.space_id}, but release"
            f" {config.release} was promised space {config.space_id} (`spaceID`): an index of it"
            " could not be searched with the release's embeddings. Train again.",
        )
    encoder = Encoder.load(into, manifest, threads=threads)
    encoder.check_golden()
    return encoder


def _check_corpus(config: BuildConfig, dataset: Dataset, encoder: Encoder) -> None:
    given, wanted = dataset.input_spec(), encoder.input
    if not given.same_items(wanted):
        raise JobFailure(
            ExitCode.BAD_DATASET,
            "InputMismatch",
            f"items of the corpus {config.source.uri} are {given.dtype} {list(given.shape)}, the"
            f" encoder takes {wanted.dtype} {list(wanted.shape)}: prepare the corpus as the"
            " training set was prepared",
        )
    if len(dataset) < MIN_ROWS:
        raise JobFailure(
            ExitCode.BAD_DATASET,
            "CorpusTooSmall",
            f"the corpus {config.source.uri} has {len(dataset)} row: at least {MIN_ROWS} are"
            " needed to measure index recall",
        )


def _embed_corpus(
    dataset: Dataset, encoder: Encoder, path: Path, advance: Advance
) -> StoredVectors:
    """The corpus' vectors, in their file: never more than one block of them is float32."""
    total = len(dataset)
    stored = np.lib.format.open_memmap(
        path, "w+", dtype=np.float16, shape=(total, encoder.dimension)
    )
    advance(Phase.EMBEDDING, 0, total)
    for start in range(0, total, EMBED_ROWS):
        end = min(start + EMBED_ROWS, total)
        ids = dataset.ids[start:end].tolist()
        stored[start:end] = round_for_storage(_embed(encoder, dataset.inputs[start:end], ids))
        advance(Phase.EMBEDDING, end, total)
    stored.flush()
    return stored


def _embed_golden(encoder: Encoder) -> Vectors:
    inputs = encoder.golden_inputs
    return _embed(encoder, inputs, [f"golden input {row}" for row in range(len(inputs))])


def _embed(encoder: Encoder, inputs: Inputs, ids: list[str]) -> Vectors:
    """Checked vectors of `inputs`; raises JobFailure (BAD_DATASET) that names the ids at fault."""
    try:
        vectors = encoder.encode(inputs)
        check_normalised(vectors, ids)
    except EncodingError as error:
        item = "an item" if error.item is None else ids[error.item]
        raise _degenerate(f"{item}: {error}") from error
    except DegenerateVectorsError as error:
        raise _degenerate(str(error)) from error
    return vectors


def _degenerate(cause: str) -> JobFailure:
    return JobFailure(
        ExitCode.BAD_DATASET,
        "DegenerateVectors",
        f"the encoder gives no usable vector: {cause}. Remove these items from the corpus, or"
        " train an encoder that can embed them.",
    )


def _facts(
    config: BuildConfig,
    store: ArtifactStore,
    digest: Sha256,
    expected_rows: int,
    directory: Path,
    begun: float,
) -> BuildFacts:
    """Facts of the build as a server will get it: fetched by digest, verified and opened anew."""
    opened = reopen(config, store, digest, directory)
    manifest = opened.build.manifest
    return BuildFacts(
        index=config.index,
        build_digest=digest,
        space_id=manifest.space_id,
        source_digest=manifest.source_digest,
        rows=opened.build.rows,
        expected_rows=expected_rows,
        dimension=manifest.dimension,
        bytes=sum(entry.bytes for entry in manifest.files),
        recall_k=opened.recall_k,
        recall=opened.recall,
        seconds=round(time.perf_counter() - begun, 3),
    )
