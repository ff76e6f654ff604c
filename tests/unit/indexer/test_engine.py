"""Against FAISS itself: the files, the parameters and the answers."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from lockstep_core.protocol.indexing import HNSWSpec, IndexSpec, IndexType
from lockstep_indexer import engine
from lockstep_indexer.exact import exact_search, remeasure
from lockstep_indexer.measure import measure_recall, sample_queries, without_self
from lockstep_indexer.vectors import StoredVectors, restore, round_for_storage

pytestmark = pytest.mark.unit

FLAT = IndexSpec(type=IndexType.FLAT)
HNSW = IndexSpec(type=IndexType.HNSW, hnsw=HNSWSpec(m=16, ef_construction=60, ef_search=48))
# As bad as the schema lets a graph be: hardly any links, chosen without looking.
DEGRADED = IndexSpec(type=IndexType.HNSW, hnsw=HNSWSpec(m=2, ef_construction=1, ef_search=1))


@pytest.fixture(scope="module")
def stored() -> StoredVectors:
    """3,000 unit rows of 24 dimensions in clusters; some are twins of others."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(60, 24))
    rows = centres[random.integers(60, size=3000)] + random.normal(size=(3000, 24)) * 0.35
    rows[2900:] = rows[:100]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return round_for_storage(rows.astype(np.float32))


def searcher_of(stored: StoredVectors, recipe: IndexSpec, path: Path) -> engine.Searcher:
    engine.write(engine.build(stored, recipe, seed=3), path)
    rows, dimension = stored.shape
    return engine.open_searcher(path, recipe, dimension=dimension, rows=rows)


@pytest.mark.parametrize("recipe", [FLAT, HNSW], ids=["Flat", "HNSW"])
def test_a_mapped_index_answers_as_faiss_in_memory_does(
    stored: StoredVectors, recipe: IndexSpec, tmp_path: Path
) -> None:
    searcher = searcher_of(stored, recipe, tmp_path / "index.faiss")
    direct = faiss.read_index(str(tmp_path / "index.faiss"))
    queries = restore(stored[5:1500:31])
    squared, rows = direct.search(queries, 12)
    assert np.array_equal(searcher.search(queries, 12), rows)
    _, distances = remeasure(queries, stored, rows)
    assert np.abs(distances - np.sqrt(np.maximum(squared, 0))).max() < 1.5e-3


def test_progress_counts_every_row(stored: StoredVectors) -> None:
    heard: list[int] = []
    engine.build(np.tile(stored, (3, 1)), FLAT, seed=0, on_rows=heard.append)
    assert heard == [4096, 8192, 9000]


def test_the_seed_alone_decides_the_bytes(stored: StoredVectors, tmp_path: Path) -> None:
    def written(seed: int, name: str) -> bytes:
        engine.write(engine.build(stored, HNSW, seed=seed), tmp_path / name)
        return (tmp_path / name).read_bytes()

    assert written(3, "a") == written(3, "b")
    assert written(3, "a") != written(4, "c")


def test_building_leaves_the_callers_threads_alone(stored: StoredVectors) -> None:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    try:
        engine.build(stored[:50], HNSW, seed=0)
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
    with pytest.raises(engine.UnusableIndexError, match="IndexFlatL2 of dimension 24, 3000 rows"):
        engine.open_searcher(tmp_path / "index.faiss", recipe, dimension=dimension, rows=rows)


def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.faiss").write_bytes(b"nothing of the kind")
    with pytest.raises(engine.UnusableIndexError, match="is not an index"):
        engine.open_searcher(tmp_path / "index.faiss", FLAT, dimension=2, rows=1)


def brute_force(
    queries: NDArray[np.float32], stored: StoredVectors
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All rows by distance, ties by row number, in float64 and with no formula but the norm."""
    rows = stored.astype(np.float64)
    apart = np.stack([np.linalg.norm(rows - query, axis=1) for query in queries.astype(float)])
    order = np.argsort(apart, axis=1, kind="stable")
    return order, np.take_along_axis(apart, order, axis=1)


@pytest.mark.parametrize("chunk", [7, 1000, 10**6])
def test_exact_search_is_brute_force_whatever_the_chunks(
    stored: StoredVectors, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("lockstep_indexer.exact.CHUNK_ROWS", chunk)
    some = stored[:60] if chunk == 7 else stored
    own = np.arange(0, 60, 4)
    rows, distances = exact_search(restore(some[own]), some, 9)
    order, apart = brute_force(restore(some[own]), some)
    assert np.array_equal(rows, order[:, :9])
    assert np.abs(distances - apart[:, :9]).max() < 1e-6
    without, _ = exact_search(restore(some[own]), some, 9, exclude=own)
    for query, row in enumerate(own):
        others = order[query][order[query] != row]
        assert np.array_equal(without[query], others[:9])


def test_the_distance_of_near_twins_does_not_depend_on_who_found_them(
    stored: StoredVectors, tmp_path: Path
) -> None:
    """FAISS itself is off by up to 1e-3 when it compares 20 queries or more at once."""
    searcher = searcher_of(stored, FLAT, tmp_path / "index.faiss")
    queries = restore(stored[:40])
    together = remeasure(queries, stored, searcher.search(queries, 3))[1]
    alone = np.concatenate(
        [remeasure(query[None], stored, searcher.search(query[None], 3))[1] for query in queries]
    )
    assert np.array_equal(together, alone)
    assert together[:, 0].max() == 0


def test_places_that_were_not_filled_come_last() -> None:
    stored = np.eye(4, dtype=np.float16)
    rows, distances = remeasure(restore(stored[:1]), stored, np.array([[2, -1, 0, -1]]))
    assert rows.tolist() == [[0, 2, -1, -1]]
    assert distances.tolist() == [[0.0, pytest.approx(2**0.5), np.inf, np.inf]]


def test_self_is_taken_out_once_and_else_the_last_place() -> None:
    found = np.array([[7, 1, 2], [1, 7, 2], [1, 2, 3], [7, -1, -1]])
    own = np.array([7, 7, 7, 7])
    assert without_self(found, own).tolist() == [[1, 2], [1, 2], [1, 2], [-1, -1]]


def test_queries_are_distinct_and_follow_the_seed() -> None:
    chosen = sample_queries(5000, seed=1)
    assert len(np.unique(chosen)) == 1000 and chosen.max() < 5000
    assert np.array_equal(chosen, sample_queries(5000, seed=1))
    assert not np.array_equal(chosen, sample_queries(5000, seed=2))
    assert sample_queries(40, seed=1).tolist() == list(range(40))


@pytest.mark.parametrize("k", [1, 10, 100])
def test_index_recall_tells_a_sound_graph_from_a_degraded_one(
    stored: StoredVectors, tmp_path: Path, k: int
) -> None:
    def mean(recipe: IndexSpec) -> float:
        searcher = searcher_of(stored, recipe, tmp_path / "index.faiss")
        recall = measure_recall(searcher, stored, k, seed=0)
        assert recall.k == k and len(recall.per_query) == 1000
        return float(recall.per_query.mean())

    assert mean(FLAT) == 1.0
    assert mean(HNSW) >= 0.95
    assert mean(DEGRADED) < 0.9


def test_recall_of_a_corpus_smaller_than_k(tmp_path: Path) -> None:
    few = round_for_storage(np.eye(5, dtype=np.float32))
    recall = measure_recall(searcher_of(few, FLAT, tmp_path / "index.faiss"), few, 10, seed=0)
    assert recall.k == 4 and recall.per_query.tolist() == [1.0] * 5
