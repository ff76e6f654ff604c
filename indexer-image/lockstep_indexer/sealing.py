"""Sealing: everything a build holds is written, published and then opened from the store again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lockstep_core.artifacts import ArtifactError, ArtifactStore, BuildManifest, describe_files
from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import BuildConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import SampleStatistics
from lockstep_core.quality.statistics import summarise
from lockstep_indexer.distinct import RowGroups, find_groups, keep_distinct, write_groups
from lockstep_indexer.engines import engine_of
from lockstep_indexer.measure import IndexRecall, measure_recall
from lockstep_indexer.opened_build import (
    GOLDEN_K,
    IDS,
    INDEX_FILE,
    LABELS,
    REPORT_FILE,
    VECTORS_FILE,
    Golden,
    OpenedBuild,
    golden_difference,
    open_build,
    roles_of,
    search_whole,
    write_golden,
)
from lockstep_indexer.strings import write_column
from lockstep_indexer.vectors import StoredVectors, Vectors

Advance = Callable[[Phase, int, int], None]
"""Hears of each step (phase, done, total), and raises JobFailure when the Job is to stop."""


@dataclass(frozen=True)
class Corpus:
    """The embedded corpus; `vectors`, one a row, are already in their file of the build's
    folder."""

    ids: list[str]
    labels: list[str]
    vectors: StoredVectors
    digest: Sha256


def seal(
    config: BuildConfig,
    corpus: Corpus,
    golden_queries: Vectors,
    directory: Path,
    store: ArtifactStore,
    advance: Advance,
) -> Sha256:
    """Writes the build into `directory`, publishes it and returns its digest.

    Everything in it follows from the inputs, the seed and the engine: no time, no name of a
    release. The same inputs therefore have the same digest. The file of the vectors keeps each
    distinct one once.
    """
    vectors, groups = corpus.vectors, find_groups(corpus.vectors)
    if groups is not None:
        vectors = keep_distinct(directory / VECTORS_FILE, vectors, groups)
        write_groups(directory, groups)
    searcher = engine_of(config.recipe).build(
        vectors,
        seed=config.seed,
        on_rows=lambda done: advance(Phase.INDEXING, done, len(vectors)),
    )
    searcher.write(directory / INDEX_FILE)
    write_column(directory, IDS, corpus.ids)
    write_column(directory, LABELS, corpus.labels)
    answers = search_whole(searcher, vectors, golden_queries, GOLDEN_K, groups=groups)
    write_golden(directory, Golden(golden_queries, *answers))
    advance(Phase.EVALUATING, 0, 0)
    recall = measure_recall(searcher, vectors, config.objectives.recall.k, seed=config.seed)
    write_report(directory / REPORT_FILE, config, corpus, len(vectors), recall)
    advance(Phase.PUBLISHING, 0, 0)
    return store.publish(directory, _manifest(config, corpus, groups, recall, directory))


def _manifest(
    config: BuildConfig,
    corpus: Corpus,
    groups: RowGroups | None,
    recall: IndexRecall,
    directory: Path,
) -> BuildManifest:
    return BuildManifest(
        files=describe_files(directory, roles_of(shared=groups is not None)),
        space_id=config.space_id,
        artifact_digest=config.artifact_digest,
        source_digest=corpus.digest,
        rows=len(corpus.vectors),
        distinct_vectors=None if groups is None else len(groups),
        dimension=corpus.vectors.shape[1],
        index=config.index,
        recipe=config.recipe,
        recall_k=recall.k,
        recall=summarise(recall.per_query),
        seed=config.seed,
        provenance=engine_of(config.recipe).provenance,
    )


def write_report(
    path: Path, config: BuildConfig, corpus: Corpus, distinct: int, recall: IndexRecall
) -> None:
    """What a person asks about a build: how far apart neighbours are, twins, the worst queries."""
    nearest = recall.exact_distances[:, 0]
    report: dict[str, Any] = {
        "index": config.index,
        "rows": len(corpus.vectors),
        "classes": len(set(corpus.labels)),
        "repeatedVectors": len(corpus.vectors) - distinct,
        "recall": {
            "k": recall.k,
            **summarise(recall.per_query).to_wire(),
            "worst": float(np.min(recall.per_query)),
            "belowHalf": int((recall.per_query < 0.5).sum()),
        },
        "nearestNeighbourDistance": {
            name: round(float(np.quantile(nearest, share)), 6)
            for name, share in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95))
        },
    }
    path.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")


@dataclass(frozen=True)
class Reopened:
    """A build as it came back from the store, and its index recall measured there."""

    build: OpenedBuild
    recall_k: int
    recall: SampleStatistics


def reopen(config: BuildConfig, store: ArtifactStore, digest: Sha256, directory: Path) -> Reopened:
    """Opens a published build just as a server does, and measures it there.

    A copy that was damaged on its way into the store is found now, and not when the first server
    starts. Raises ArtifactError for bytes that differ, and JobFailure when they do not answer as
    they did when they were sealed.
    """
    manifest = store.fetch(digest, directory, BuildManifest)
    if manifest.space_id != config.space_id:
        raise ArtifactError(
            f"build {digest} came back with space {manifest.space_id}, not {config.space_id}"
        )
    try:
        build = open_build(directory, manifest)
    except (ValueError, KeyError) as error:
        raise JobFailure(
            ExitCode.SELF_CHECK_FAILED,
            "UnusableBuild",
            f"the published index cannot be opened, although its bytes are right: {error}",
        ) from error
    if difference := golden_difference(build):
        raise JobFailure(
            ExitCode.SELF_CHECK_FAILED,
            "GoldenMismatch",
            f"the published index does not answer as it did when it was built: {difference}."
            " Build it again.",
        )
    recall = measure_recall(
        build.searcher, build.vectors, config.objectives.recall.k, seed=config.seed
    )
    return Reopened(build, recall.k, summarise(recall.per_query))
