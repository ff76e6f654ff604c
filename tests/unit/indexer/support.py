"""Vectors and recipes that the tests of searching share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.protocol.config import BuildConfig
from lockstep_core.protocol.indexing import HNSWSpec, IndexSpec, IndexType
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_indexer.engines import Searcher, engine_of
from lockstep_indexer.opened_build import VECTORS_FILE
from lockstep_indexer.sealing import Corpus, Reopened, reopen, seal
from lockstep_indexer.vectors import StoredVectors, Vectors, round_for_storage

FLAT = IndexSpec(type=IndexType.FLAT)
HNSW = IndexSpec(type=IndexType.HNSW, hnsw=HNSWSpec(m=16, ef_construction=60, ef_search=48))
# As bad as the schema lets a graph be: hardly any links, chosen without looking.
DEGRADED = IndexSpec(type=IndexType.HNSW, hnsw=HNSWSpec(m=2, ef_construction=1, ef_search=1))


def clustered_vectors() -> StoredVectors:
    """3,000 unit rows of 24 dimensions in clusters; some are twins of others."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(60, 24))
    rows = centres[random.integers(60, size=3000)] + random.normal(size=(3000, 24)) * 0.35
    rows[2900:] = rows[:100]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return round_for_storage(rows.astype(np.float32))


def searcher_of(stored: StoredVectors, recipe: IndexSpec, path: Path) -> Searcher:
    """The index of `stored`, as it is opened from the file `path`."""
    engine_of(recipe).build(stored, seed=3, on_rows=lambda _: None).write(path)
    rows, dimension = stored.shape
    return engine_of(recipe).open(path, dimension=dimension, rows=rows)


@dataclass(frozen=True)
class Repeated:
    """10,000 rows of 32 dimensions, 2,000 of which have one vector, and queries near the others.

    `copies` are the rows of the repeated vector, ascending.
    """

    stored: StoredVectors
    copies: NDArray[np.int64]
    queries: Vectors


def repeated_vectors(seed: int, *, copies: int = 2000, dimension: int = 32) -> Repeated:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(200, dimension))
    rows = centres[random.integers(200, size=10_000)]
    rows += random.normal(size=rows.shape) * 0.35
    same = np.sort(random.choice(len(rows), copies, replace=False))
    rows[same] = rows[same[:1]]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    others = random.choice(np.setdiff1d(np.arange(len(rows)), same), 1000, replace=False)
    queries = rows[others] + random.normal(size=(1000, dimension)) * 0.03
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return Repeated(round_for_storage(rows.astype(np.float32)), same, queries.astype(np.float32))


@dataclass(frozen=True)
class Sealed:
    """A build of given vectors in a store of its own, as it came back from there."""

    config: BuildConfig
    store: ArtifactStore
    digest: str
    folder: Path
    reopened: Reopened


def sealed(stored: StoredVectors, recipe: IndexSpec, folder: Path, *, seed: int = 0) -> Sealed:
    """Seals and opens `stored`; row i has the id `row-<i>`."""
    for name in ("store", "build", "back"):
        (folder / name).mkdir(parents=True)
    artifacts = ArtifactsSpec(uri=f"file://{folder}/store", claim_name="artifacts")
    config = BuildConfig.model_validate(
        {
            "release": "unlike-r1",
            "releaseUID": "uid-1",
            "artifacts": artifacts.to_wire(),
            "artifactDigest": f"sha256:{'1' * 64}",
            "spaceID": "0" * 12,
            "index": "unlike",
            "source": {"uri": "file:///x.npz", "format": "NPZ"},
            "recipe": recipe.to_wire(),
            "objectives": {"recall": {"k": 10}},
            "seed": seed,
        }
    )
    np.save(folder / "build" / VECTORS_FILE, stored)
    mapped = np.load(folder / "build" / VECTORS_FILE, mmap_mode="r")
    corpus = Corpus(
        [f"row-{row}" for row in range(len(stored))],
        [str(row % 7) for row in range(len(stored))],
        mapped,
        f"sha256:{'2' * 64}",
    )
    golden = np.asarray(stored[5::97], dtype=np.float32)
    store = ArtifactStore.open(artifacts)
    digest = seal(config, corpus, golden, folder / "build", store, lambda *_: None)
    return Sealed(
        config, store, digest, folder / "back", reopen(config, store, digest, folder / "back")
    )
