"""Corpora in which several rows have one vector: what is indexed, found, measured and refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lockstep_core.artifacts import BuildManifest, describe_files
from lockstep_core.artifacts.digests import sha256_file
from lockstep_core.protocol.config import IndexServerConfig
from lockstep_core.protocol.indexing import HNSWSpec, IndexSpec, IndexType
from lockstep_core.protocol.result import SampleStatistics
from lockstep_core.quality.intervals import mean_interval
from lockstep_core.quality.statistics import summarise
from lockstep_core.serving.startup import StartError
from lockstep_indexer import sealing
from lockstep_indexer.distinct import (
    OFFSETS_FILE,
    ROWS_FILE,
    MappingError,
    find_groups,
    open_groups,
    write_groups,
)
from lockstep_indexer.engines import engine_of
from lockstep_indexer.exact import exact_search, rescore
from lockstep_indexer.measure import index_recall, measure_recall
from lockstep_indexer.opened_build import (
    GOLDEN_FILE,
    INDEX_FILE,
    VECTORS_FILE,
    ContentsError,
    Golden,
    open_build,
    roles_of,
    search_whole,
    write_golden,
)
from lockstep_indexer.search_executor import measure_cost
from lockstep_indexer.serving import load_build
from lockstep_indexer.vectors import StoredVectors, Vectors, restore, round_for_storage
from tests.unit.indexer.support import (
    FLAT,
    HNSW,
    Repeated,
    Sealed,
    clustered_vectors,
    repeated_vectors,
    sealed,
    searcher_of,
)

pytestmark = pytest.mark.unit

GRAPH = IndexSpec(type=IndexType.HNSW)
CARELESS = IndexSpec(type=IndexType.HNSW, hnsw=HNSWSpec(m=8, ef_construction=40, ef_search=10))


def recall_by_rows(
    found: NDArray[np.int64], queries: Vectors, stored: StoredVectors
) -> SampleStatistics:
    """Share of the ten nearest of all rows, as somebody who searches sees it."""
    exact_rows, exact_distances = exact_search(queries, stored, 10)
    rows, distances = rescore(queries, stored, found)
    return summarise(
        index_recall(rows, exact_rows, found_distances=distances, exact_distances=exact_distances)
    )


@pytest.fixture(scope="module", params=[0, 1, 2])
def repeated(request: pytest.FixtureRequest) -> Repeated:
    return repeated_vectors(request.param)


@pytest.fixture(scope="module")
def graph(repeated: Repeated, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return sealed(repeated.stored, GRAPH, tmp_path_factory.mktemp("graph"))


def test_one_repeated_vector_does_not_hide_the_others(repeated: Repeated, graph: Sealed) -> None:
    build = graph.reopened.build
    assert build.rows == build.manifest.rows == len(build.ids) == 10_000
    assert build.searcher.rows == build.manifest.distinct_vectors == len(build.vectors) == 8001
    rows, _ = build.search(repeated.queries, 10)
    real = recall_by_rows(rows, repeated.queries, repeated.stored)
    assert real.mean >= 0.99
    told = graph.reopened.recall
    lower, upper = mean_interval(told, 0.95, bounded01=True)
    assert told.n == 1000 and lower <= real.mean <= upper + 1e-9
    assert told == build.manifest.recall


def test_what_is_sealed_of_a_careless_graph_is_what_others_see(
    repeated: Repeated, tmp_path: Path
) -> None:
    done = sealed(repeated.stored, CARELESS, tmp_path).reopened
    rows, _ = done.build.search(repeated.queries, 10)
    real = recall_by_rows(rows, repeated.queries, repeated.stored)
    lower, _ = mean_interval(done.recall, 0.95, bounded01=True)
    _, upper = mean_interval(real, 0.95, bounded01=True)
    assert real.mean < done.recall.mean < 0.995 and lower <= upper
    # By rows, each of the 2,000 copies would be a query that finds its own copies.
    searcher = searcher_of(repeated.stored, CARELESS, tmp_path / "all.faiss")
    flattered = measure_recall(searcher, repeated.stored, 10, seed=0).per_query.mean()
    found = recall_by_rows(searcher.search(repeated.queries, 10), repeated.queries, repeated.stored)
    assert flattered - found.mean > 2 * (done.recall.mean - real.mean)


def test_all_rows_in_one_graph_are_the_trap_that_this_is_for(tmp_path: Path) -> None:
    """Of the three corpora, at least one must show what the index of all rows misses."""
    recalls = []
    for seed in range(3):
        corpus = repeated_vectors(seed)
        searcher = searcher_of(corpus.stored, GRAPH, tmp_path / f"{seed}.faiss")
        found = searcher.search(corpus.queries, 10)
        recalls.append(recall_by_rows(found, corpus.queries, corpus.stored).mean)
    assert min(recalls) < 0.9


def test_a_query_of_the_repeated_vector_gets_the_lowest_rows(
    repeated: Repeated, graph: Sealed
) -> None:
    build = graph.reopened.build
    query = restore(repeated.stored[repeated.copies[:1]])
    for k in (1, 10, 1000):
        for exact in (False, True):
            rows, distances = build.search(query, k, exact=exact)
            assert rows[0].tolist() == repeated.copies[:k].tolist()
            assert not distances.any()
    hits = build.hits(*build.search(query, 3))[0]
    assert [hit.id for hit in hits] == [f"row-{row}" for row in repeated.copies[:3]]


def test_more_than_the_group_goes_on_with_the_next_nearest(
    repeated: Repeated, graph: Sealed
) -> None:
    query = restore(repeated.stored[repeated.copies[:1]])
    rows, _ = graph.reopened.build.search(query, 2100)
    exact, _ = exact_search(query, repeated.stored, 2100)
    assert rows[0, :2000].tolist() == repeated.copies.tolist()
    assert np.isin(rows, exact).mean() >= 0.99


def test_the_same_corpus_and_seed_have_the_same_digest(repeated: Repeated, tmp_path: Path) -> None:
    few = repeated.stored[:1500]
    digests = [
        sealed(few, HNSW, tmp_path / name, seed=seed).digest
        for name, seed in (("a", 4), ("b", 4), ("c", 5))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_the_report_counts_repeats_and_looks_at_other_vectors(graph: Sealed) -> None:
    report = json.loads((graph.folder / "report.json").read_text())
    assert (report["rows"], report["repeatedVectors"]) == (10_000, 1999)
    assert report["nearestNeighbourDistance"]["p05"] > 0


def test_the_cost_of_a_search_is_that_of_different_ones(graph: Sealed) -> None:
    asked: list[bytes] = []

    class Heard:
        vectors = graph.reopened.build.vectors

        def search(self, queries: Vectors, k: int, *, exact: bool) -> None:
            asked.append(queries.tobytes())

    measure_cost(Heard())  # type: ignore[arg-type]
    assert len(set(asked)) == 16


@pytest.mark.parametrize("recipe", [FLAT, HNSW], ids=["Flat", "HNSW"])
def test_rows_that_are_all_equal_are_found_in_order(recipe: IndexSpec, tmp_path: Path) -> None:
    stored = np.tile(round_for_storage(np.eye(6, dtype=np.float32)[:1]), (500, 1))
    done = sealed(stored, recipe, tmp_path).reopened
    assert (done.recall_k, done.recall.n, done.recall.mean) == (1, 1, 1.0)
    assert done.build.searcher.rows == 1
    queries = np.eye(6, dtype=np.float32)[:2]
    rows, distances = done.build.search(queries, 20)
    assert rows.tolist() == [list(range(20))] * 2
    assert distances[0].max() == 0 and distances[1] == pytest.approx([2**0.5] * 20)
    assert done.build.search(queries, 1000)[0].shape == (2, 500)


def test_a_build_with_an_encoder_of_its_own_serves_repeated_images(
    configure: Any,
    build: Any,
    store_root: Path,
    letters: Any,
    model: Any,
    tmp_path: Path,
) -> None:
    inputs = letters.inputs[:400].copy()
    same = np.arange(7, 400, 2)
    inputs[same] = inputs[7]
    np.savez(store_root / "repeats.npz", inputs=inputs, ids=letters.ids[:400])
    source = {"uri": f"file://{store_root}/repeats.npz", "format": "NPZ"}
    facts = build(configure(source=source))
    assert facts.rows == facts.expected_rows == 400
    config = IndexServerConfig(
        release="letters-r1",
        index="letters",
        artifacts=configure().artifacts,
        build_digest=facts.build_digest,
        space_id=facts.space_id,
    )
    opened = load_build(config, tmp_path)
    assert facts.recall.n == opened.manifest.distinct_vectors < 210
    hits = opened.hits(*opened.search(model.embed(inputs[7:8]), 5))[0]
    assert [hit.id for hit in hits] == letters.ids[same[:5]].tolist()


# --- without repeats nothing changes ---


def unlike_vectors() -> StoredVectors:
    """400 different rows of 12 dimensions, by arithmetic that is exact everywhere."""
    row, column = np.arange(400)[:, None], np.arange(12)
    whole = row * row * (column + 3) + row * (7 * column + 1) + column * column * 5
    made = (whole % 1009 - 504.5).astype(np.float64)
    made /= np.sqrt((made * made).sum(axis=1, keepdims=True))
    return round_for_storage(made.astype(np.float32))


# What was sealed of `unlike_vectors` before vectors were shared: the first digits of each file.
BEFORE = {
    "golden.npz": "a5b1096422c625db",
    "ids.npy": "ab89d4067e539a51",
    "ids.offsets.npy": "39d34f86e6cc3f1a",
    "labels.npy": "8c1712f1b4a34c83",
    "labels.offsets.npy": "1899a62d8ea2dca0",
    "report.json": "6d2ae76ac718713c",
    "vectors.f16.npy": "a0c3ca894afc9f0d",
}


@pytest.mark.parametrize("recipe", [FLAT, GRAPH], ids=["Flat", "HNSW"])
def test_without_repeats_the_bytes_are_those_of_before(recipe: IndexSpec, tmp_path: Path) -> None:
    stored = unlike_vectors()
    done = sealed(stored, recipe, tmp_path / "done")
    files = {path.name: sha256_file(path)[7:23] for path in done.folder.iterdir()}
    # The bytes of an index are those of FAISS's version: beside one of all rows, made now.
    engine_of(recipe).build(stored, seed=0, on_rows=lambda _: None).write(tmp_path / "index")
    assert files == BEFORE | {INDEX_FILE: sha256_file(tmp_path / "index")[7:23]}
    wire = done.reopened.build.manifest.to_wire()
    del wire["files"], wire["provenance"]
    assert wire == {
        "artifactDigest": f"sha256:{'1' * 64}",
        "dimension": 12,
        "index": "unlike",
        "metric": "Euclidean",
        "recall": {"mean": 1.0, "n": 400, "standardDeviation": 0.0},
        "recallK": 10,
        "recipe": recipe.to_wire(),
        "rows": 400,
        "schema": "lockstep.dev/build/v1",
        "seed": 0,
        "sourceDigest": f"sha256:{'2' * 64}",
        "spaceID": "0" * 12,
    }


def test_a_build_of_before_is_served_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It holds equal vectors as often as they occur, and no mapping."""
    stored = clustered_vectors()
    monkeypatch.setattr(sealing, "find_groups", lambda _: None)
    before = sealed(stored, HNSW, tmp_path / "before").reopened.build
    assert before.manifest.distinct_vectors is None and before.groups is None
    assert before.rows == before.searcher.rows == before.manifest.vectors == 3000
    queries = restore(stored[2900:2950])
    rows, distances = before.search(queries, 12)
    expected = rescore(queries, stored, before.searcher.search(queries, 12))
    assert np.array_equal(rows, expected[0]) and np.array_equal(distances, expected[1])


# --- the mapping ---


def test_groups_go_by_first_row_and_by_stored_bytes(tmp_path: Path) -> None:
    stored = np.array([[1, 0], [0, 1], [1, -0.0], [0, 1], [1, 0], [1, 0]], dtype=np.float16)
    groups = find_groups(stored)
    assert groups is not None and groups.rows.dtype == np.int32
    assert [groups.of(vector).tolist() for vector in range(len(groups))] == [
        [0, 4, 5],
        [1, 3],
        # The other zero has other bytes; it is as far from everything, so it is found as well.
        [2],
    ]
    assert groups.first.tolist() == [0, 1, 2]
    write_groups(tmp_path, groups)
    opened = open_groups(tmp_path, vectors=3, rows=6)
    assert np.array_equal(opened.rows, groups.rows)
    assert np.array_equal(opened.offsets, groups.offsets)
    assert isinstance(opened.rows, np.memmap)
    assert find_groups(stored[:3]) is None


BASE = np.random.default_rng(5).normal(size=(12, 6))
BASE /= np.linalg.norm(BASE, axis=1, keepdims=True)
PATTERNS = st.lists(st.integers(0, 11), min_size=2, max_size=60)


def expanded(
    stored: StoredVectors, queries: Vectors, k: int, *, exact: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    groups = find_groups(stored)
    kept = stored if groups is None else stored[groups.first]
    searcher = engine_of(FLAT).build(kept, seed=0, on_rows=lambda _: None)
    return search_whole(searcher, kept, queries, k, groups=groups, exact=exact)


@settings(max_examples=200, deadline=None)
@given(PATTERNS, st.integers(1, 70), st.integers(0, 2**32 - 1), st.booleans())
def test_whatever_repeats_the_answer_is_exact_search_over_all_rows(
    pattern: list[int], k: int, seed: int, exact: bool
) -> None:
    stored = round_for_storage(BASE[pattern].astype(np.float32))
    near = BASE[pattern[:3]] + np.random.default_rng(seed).normal(size=BASE[pattern[:3]].shape)
    queries = np.concatenate([BASE[:4], near]).astype(np.float32)
    rows, distances = expanded(stored, queries, k, exact=exact)
    wanted, apart = exact_search(queries, stored, min(k, len(stored)))
    assert np.array_equal(rows, wanted)
    assert np.array_equal(distances, apart) and distances.dtype == np.float32


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=2, max_size=60), st.integers(1, 70))
def test_vectors_that_are_equally_far_give_their_rows_in_order(pattern: list[int], k: int) -> None:
    """Corners of a cross: from its middle, and from each arm, many are equally far."""
    cross = np.concatenate([np.eye(4), -np.eye(4)]).astype(np.float32)
    stored = round_for_storage(cross[pattern])
    queries = np.concatenate([np.full((1, 4), 0.5, dtype=np.float32), cross[:2]])
    rows, distances = expanded(stored, queries, k, exact=True)
    wanted, apart = exact_search(queries, stored, min(k, len(stored)))
    assert np.array_equal(rows, wanted) and np.array_equal(distances, apart)


# --- hostile mappings ---


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    stored = clustered_vectors()[:60].copy()
    stored[[9, 30, 31]] = stored[4]
    stored[[50]] = stored[2]
    return sealed(stored, HNSW, tmp_path_factory.mktemp("small"))


def swapped(array: NDArray[Any], one: int, other: int) -> NDArray[Any]:
    found = np.array(array)
    found[[one, other]] = found[[other, one]]
    return found


def changed(array: NDArray[Any], at: int, value: int) -> NDArray[Any]:
    found = np.array(array)
    found[at] = value
    return found


# rows: 0 1 [2 50] 3 [4 9 30 31] 5 6 7 8 10 …; offsets: 0 1 2 4 5 9 10 …
HOSTILE: dict[str, tuple[str, Callable[[NDArray[Any]], NDArray[Any]], str]] = {
    "offsets out of order": (OFFSETS_FILE, lambda it: swapped(it, 3, 4), "must rise"),
    "offsets that do not begin at 0": (OFFSETS_FILE, lambda it: changed(it, 0, -1), "must rise"),
    "a vector without a row": (OFFSETS_FILE, lambda it: changed(it, 3, 2), "must rise"),
    "lengths beyond the rows": (OFFSETS_FILE, lambda it: changed(it, -1, 61), "from 0 to 60"),
    "an offset far out": (OFFSETS_FILE, lambda it: changed(it, 5, 2**62), "must rise"),
    "fewer vectors": (OFFSETS_FILE, lambda it: it[:-1], "must be int64"),
    "offsets of floats": (OFFSETS_FILE, lambda it: it.astype(float), "must be int64"),
    "offsets in a square": (OFFSETS_FILE, lambda it: it[:, None], "must be int64"),
    "fewer rows": (ROWS_FILE, lambda it: it[:-1], "must be int32 or int64"),
    "rows of floats": (ROWS_FILE, lambda it: it.astype(np.float32), "must be int32 or int64"),
    "unsigned rows": (ROWS_FILE, lambda it: it.astype(np.uint32), "must be int32 or int64"),
    "a row beyond the corpus": (ROWS_FILE, lambda it: changed(it, 7, 60), "among 0 to 59"),
    "a negative row": (ROWS_FILE, lambda it: changed(it, 7, -1), "among 0 to 59"),
    "a row twice": (ROWS_FILE, lambda it: changed(it, 7, 9), "twice and row 30 never"),
    "rows of a vector in another order": (ROWS_FILE, lambda it: swapped(it, 6, 7), "out of order"),
    "vectors in another order": (ROWS_FILE, lambda it: swapped(it, 0, 1), "out of order"),
}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What FAISS was given to read."""
    given: list[object] = []
    monkeypatch.setattr(faiss, "read_index", lambda *arguments: given.append(arguments))
    return given


@pytest.fixture
def own_copy(small: Sealed, tmp_path: Path) -> tuple[Path, BuildManifest]:
    """A folder of the small build, to be damaged."""
    return tmp_path, small.store.fetch(small.digest, tmp_path, BuildManifest)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mapping_is_refused_by_name_before_faiss_sees_the_index(
    own_copy: tuple[Path, BuildManifest], parsed: list[object], name: str
) -> None:
    file, damage, says = HOSTILE[name]
    folder, manifest = own_copy
    damaged = damage(np.load(folder / file))
    (folder / file).unlink()
    np.save(folder / file, damaged)
    with pytest.raises(MappingError, match=rf"^{file} .*{says}"):
        open_build(folder, manifest)
    assert not parsed


def archive() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, rows=np.arange(3))
    return stream.getvalue()


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}, {}], dtype=object))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"no array", archive(), pickled()], ids=["empty", "text", "archive", "pickle"]
)
@pytest.mark.parametrize("file", [ROWS_FILE, OFFSETS_FILE])
def test_a_file_that_is_no_array_is_refused_by_name(
    own_copy: tuple[Path, BuildManifest], parsed: list[object], file: str, content: bytes
) -> None:
    folder, manifest = own_copy
    (folder / file).write_bytes(content)
    with pytest.raises(MappingError, match=rf"^{file} is no array"):
        open_build(folder, manifest)
    assert not parsed


def test_a_server_ends_with_the_refusal(
    small: Sealed, own_copy: tuple[Path, BuildManifest], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, manifest = own_copy
    rows = changed(np.load(folder / ROWS_FILE), 7, 60)
    np.save(folder / ROWS_FILE, rows)
    files = describe_files(folder, roles_of(shared=True))
    config = IndexServerConfig(
        release="unlike-r1",
        index="unlike",
        artifacts=small.config.artifacts,
        build_digest=small.store.publish(folder, manifest.replace(files=files)),
        space_id="0" * 12,
    )
    with pytest.raises(StartError, match=rf"cannot be opened: {ROWS_FILE} names rows") as raised:
        load_build(config, tmp_path_factory.mktemp("into"))
    assert raised.value.reason == "UnusableBuild"


def test_a_manifest_that_lists_no_mapping_is_refused(
    own_copy: tuple[Path, BuildManifest], parsed: list[object]
) -> None:
    folder, manifest = own_copy
    files = tuple(entry for entry in manifest.files if entry.path != ROWS_FILE)
    with pytest.raises(ContentsError, match=f"lists no {ROWS_FILE}"):
        open_build(folder, manifest.replace(files=files))
    assert not parsed


@pytest.mark.parametrize("distinct", [55, 57, 60, 61])
def test_another_number_of_vectors_than_the_files_hold_is_refused(
    own_copy: tuple[Path, BuildManifest], parsed: list[object], distinct: int
) -> None:
    folder, manifest = own_copy
    assert manifest.distinct_vectors == 56
    with pytest.raises(MappingError, match=OFFSETS_FILE):
        open_build(folder, manifest.replace(distinct_vectors=distinct))
    assert not parsed


def test_a_mapping_that_is_not_told_of_is_refused(own_copy: tuple[Path, BuildManifest]) -> None:
    """By index and vectors, which are fewer than the rows."""
    folder, manifest = own_copy
    wire = manifest.to_wire()
    del wire["distinctVectors"]
    with pytest.raises(ValueError, match="56 rows"):
        open_build(folder, BuildManifest.model_validate(wire))


def test_golden_rows_that_are_not_rows_are_refused(own_copy: tuple[Path, BuildManifest]) -> None:
    folder, manifest = own_copy
    golden = open_build(folder, manifest).golden
    for row in (-1, 60):
        rows = golden.rows.copy()
        rows[0, 0] = row
        (folder / GOLDEN_FILE).unlink()
        write_golden(folder, Golden(golden.queries, rows, golden.distances))
        with pytest.raises(ContentsError, match=f"{GOLDEN_FILE} names rows"):
            open_build(folder, manifest)


def test_vectors_are_kept_once(small: Sealed) -> None:
    stored = np.load(small.folder / VECTORS_FILE)
    assert len(stored) == 56 and find_groups(stored) is None
    assert not list((small.folder.parent / "build").glob("*.distinct"))
