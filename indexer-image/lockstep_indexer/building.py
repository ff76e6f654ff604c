"""`build`: from a model artifact and a corpus to a sealed index, and its facts as re-opened."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.datasets import Dataset, load_dataset
from lockstep_core.encoding import Encoder
from lockstep_core.jobs import JobFailure, Reporter
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import BuildConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import BuildFacts
from lockstep_indexer.contents import VECTORS_FILE
from lockstep_indexer.sealing import Corpus, reopen, seal
from lockstep_indexer.vectors import (
    DegenerateVectorsError,
    StoredVectors,
    Vectors,
    check_normalised,
    round_for_storage,
)

EMBED_ROWS = 8192
# Leave-one-out search needs an other row.
MIN_ROWS = 2


def build(
    config: BuildConfig, store: ArtifactStore, reporter: Reporter, *, threads: int
) -> BuildFacts:
    """Builds, publishes, re-opens what was published, and reports what that is like.

    Raises JobFailure, ArtifactError, DatasetError or StoreError; nothing is published then,
    unless the published copy itself turns out to be unreadable.
    """
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lockstep-build-") as folder:
        work = Path(folder)
        reporter.report(Phase.VALIDATING)
        encoder = _release_encoder(config, store, work / "model", threads)
        dataset = load_dataset(config.source, store, work, need_labels=False)
        _check_corpus(config, dataset, encoder)
        sealed = work / "sealed"
        sealed.mkdir()
        corpus = Corpus(
            ids=dataset.ids.tolist(),
            labels=dataset.labels.tolist(),
            vectors=_embed_corpus(dataset, encoder, sealed / VECTORS_FILE, reporter),
            digest=dataset.digest,
        )
        digest = seal(config, corpus, _embed_golden(encoder), sealed, store, reporter)
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
    return Encoder.load(into, manifest, threads=threads)


def _check_corpus(config: BuildConfig, dataset: Dataset, encoder: Encoder) -> None:
    found, wanted = dataset.input_spec(), encoder.manifest.input
    if found != wanted:
        raise JobFailure(
            ExitCode.BAD_DATASET,
            "InputMismatch",
            f"items of the corpus {config.source.uri} are {found.dtype} {list(found.shape)}, the"
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
    dataset: Dataset, encoder: Encoder, path: Path, reporter: Reporter
) -> StoredVectors:
    """Embeds the corpus into the file of stored vectors, in blocks: float16 on disk, whatever
    the corpus' size."""
    total, width = len(dataset), encoder.manifest.dimension
    stored = np.lib.format.open_memmap(path, "w+", dtype=np.float16, shape=(total, width))
    for start in range(0, total, EMBED_ROWS):
        block = slice(start, start + EMBED_ROWS)
        vectors = encoder.encode(
            dataset.inputs[block],
            on_batch=lambda done, start=start: reporter.report(
                Phase.EMBEDDING, done=start + done, total=total
            ),
        )
        stored[block] = round_for_storage(_checked(vectors, dataset.ids[block].tolist()))
    stored.flush()
    return stored


def _checked(vectors: Vectors, ids: list[str]) -> Vectors:
    try:
        check_normalised(vectors, ids)
    except DegenerateVectorsError as error:
        raise JobFailure(
            ExitCode.BAD_DATASET,
            "DegenerateVectors",
            f"the encoder's vectors of some items cannot be indexed: {error}. Remove these items"
            " from the corpus, or train an encoder that can embed them.",
        ) from error
    return vectors


def _embed_golden(encoder: Encoder) -> Vectors:
    inputs = encoder.golden_inputs
    return _checked(encoder.encode(inputs), [f"golden input {row}" for row in range(len(inputs))])


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
        rows=opened.build.searcher.rows,
        expected_rows=expected_rows,
        dimension=manifest.dimension,
        bytes=sum(entry.bytes for entry in manifest.files),
        recall_k=opened.recall_k,
        recall=opened.recall,
        seconds=round(time.perf_counter() - begun, 3),
    )
