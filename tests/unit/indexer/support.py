"""Vectors and recipes that the tests of searching share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lockstep_core.protocol.indexing import HNSWSpec, IndexSpec, IndexType
from lockstep_indexer.engines import Searcher, engine_of
from lockstep_indexer.vectors import StoredVectors, round_for_storage

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
