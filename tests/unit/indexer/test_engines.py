"""Each index type against FAISS itself: the files, the parameters and the answers."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from lockstep_core.protocol.indexing import IndexSpec, IndexType
from lockstep_indexer.engines import UnusableIndexError, engine_of
from lockstep_indexer.exact import rescore
from lockstep_indexer.vectors import StoredVectors, restore
from tests.unit.indexer.support import DEGRADED, FLAT, HNSW, clustered_vectors, searcher_of

pytestmark = pytest.mark.unit


def ignore(_rows: int) -> None:
    pass


@pytest.fixture(scope="module")
def stored() -> StoredVectors:
    return clustered_vectors()


def test_every_index_type_has_an_engine() -> None:
    for kind in IndexType:
        assert set(engine_of(IndexSpec(type=kind)).provenance) == {"engine", "instructions"}


@pytest.mark.parametrize("recipe", [FLAT, HNSW], ids=["Flat", "HNSW"])
def test_a_mapped_index_answers_as_faiss_in_memory_does(
    stored: StoredVectors, recipe: IndexSpec, tmp_path: Path
) -> None:
    searcher = searcher_of(stored, recipe, tmp_path / "index.faiss")
    direct = faiss.read_index(str(tmp_path / "index.faiss"))
    queries = restore(stored[5:1500:31])
    squared, rows = direct.search(queries, 12)
    assert np.array_equal(searcher.search(queries, 12), rows)
    _, distances = rescore(queries, stored, rows)
    assert np.abs(distances - np.sqrt(np.maximum(squared, 0))).max() < 1.5e-3


def test_progress_counts_every_row(stored: StoredVectors) -> None:
    heard: list[int] = []
    engine_of(FLAT).build(np.tile(stored, (3, 1)), seed=0, on_rows=heard.append)
    assert heard == [4096, 8192, 9000]


def test_the_seed_alone_decides_the_bytes(stored: StoredVectors, tmp_path: Path) -> None:
    def written(seed: int, name: str) -> bytes:
        engine_of(HNSW).build(stored, seed=seed, on_rows=ignore).write(tmp_path / name)
        return (tmp_path / name).read_bytes()

    assert written(3, "a") == written(3, "b")
    assert written(3, "a") != written(4, "c")


def test_building_leaves_the_callers_threads_alone(stored: StoredVectors) -> None:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    try:
        engine_of(HNSW).build(stored[:50], seed=0, on_rows=ignore)
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)


def test_parameters_travel_with_the_call(stored: StoredVectors, tmp_path: Path) -> None:
    """A wide search through one searcher changes nothing for the next."""
    searcher = searcher_of(stored, DEGRADED, tmp_path / "index.faiss")
    queries = restore(stored[:200])
    before = searcher.search(queries, 5)
    searcher.search(queries, 500)
    assert searcher.index.hnsw.efSearch == 1
    assert np.array_equal(searcher.search(queries, 5), before)


@pytest.mark.parametrize(
    ("recipe", "dimension", "rows"),
    [(HNSW, 24, 3000), (FLAT, 23, 3000), (FLAT, 24, 2999)],
    ids=["type", "dimension", "rows"],
)
def test_an_index_other_than_described_is_refused(
    stored: StoredVectors, tmp_path: Path, recipe: IndexSpec, dimension: int, rows: int
) -> None:
    searcher_of(stored, FLAT, tmp_path / "index.faiss")
    with pytest.raises(UnusableIndexError, match="IndexFlatL2 of dimension 24, 3000 rows"):
        engine_of(recipe).open(tmp_path / "index.faiss", dimension=dimension, rows=rows)


def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.faiss").write_bytes(b"nothing of the kind")
    with pytest.raises(UnusableIndexError, match="is not an index"):
        engine_of(FLAT).open(tmp_path / "index.faiss", dimension=2, rows=1)
