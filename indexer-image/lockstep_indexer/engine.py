"""FAISS: how an index is built, written, opened and searched. The only module that imports it.

Vectors are unit rows and the metric is squared L2 (`METRIC_L2`), which ranks as Euclidean does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from lockstep_core.protocol.indexing import HNSWSpec, IndexSpec, IndexType
from lockstep_indexer.vectors import StoredVectors, Vectors, restore

Rows = NDArray[np.int64]
Distances = NDArray[np.float32]

ENGINE = f"faiss {faiss.__version__}"
# The graph of one corpus may differ between processors: it is no promise, so it is on record.
INSTRUCTIONS = str(faiss.SIMDConfig.get_level_name())
ADD_BATCH = 4096
READ_BLOCK = 8 * 1024 * 1024
# Mapped, not read: memory is shared page cache. IO_FLAG_MMAP alone is ignored by Flat and HNSW.
OPEN_FLAGS = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY


class UnusableIndexError(ValueError):
    """The file holds no index of the recipe, the metric, the width or the rows expected of it."""


def hnsw_of(recipe: IndexSpec) -> HNSWSpec | None:
    """The graph's parameters of a recipe, with defaults filled in; None for a Flat index."""
    return (recipe.hnsw or HNSWSpec()) if recipe.type == IndexType.HNSW else None


def use_one_thread() -> None:
    """The calling thread's searches run in itself alone; other threads keep their own setting."""
    faiss.omp_set_num_threads(1)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """FAISS's thread count is per calling thread, so this touches nobody else's searches."""
    before = faiss.omp_get_max_threads()
    use_one_thread()
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def build(
    stored: StoredVectors,
    recipe: IndexSpec,
    *,
    seed: int,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Any:
    """Builds the index of `stored` (n, d); row i of the index is row i of `stored`.

    Rows are added by one thread and node levels are drawn from `seed`: with several threads the
    order in which links are made, and so the bytes of the graph, may change from run to run, and
    a build that is run again would get another digest. `on_rows` hears of rows added so far.
    """
    rows, dimension = stored.shape
    index = _empty(dimension, hnsw_of(recipe), seed)
    with _single_threaded():
        for start in range(0, rows, ADD_BATCH):
            index.add(restore(stored[start : start + ADD_BATCH]))
            on_rows(min(start + ADD_BATCH, rows))
    return index


def _empty(dimension: int, graph: HNSWSpec | None, seed: int) -> Any:
    if graph is None:
        return faiss.IndexFlatL2(dimension)
    index = faiss.IndexHNSWFlat(dimension, graph.m, faiss.METRIC_L2)
    index.hnsw.efConstruction = graph.ef_construction
    index.hnsw.efSearch = graph.ef_search
    index.hnsw.rng = faiss.RandomGenerator(seed % 2**31)  # type: ignore[attr-defined]
    return index


def write(index: Any, path: Path) -> None:
    faiss.write_index(index, str(path))


def prewarm(path: Path) -> int:
    """Reads a file from end to end and returns its bytes.

    FAISS maps it with MADV_RANDOM: without this the first queries would each wait for the disk.
    """
    done = 0
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(READ_BLOCK):
            done += len(block)
    return done


@dataclass(frozen=True)
class Searcher:
    """An opened index. It is never mutated: parameters travel with each call."""

    index: Any
    graph: HNSWSpec | None

    @property
    def rows(self) -> int:
        return int(self.index.ntotal)

    def search(self, queries: Vectors, k: int) -> Rows:
        """Rows (n, k) that the index finds for `queries`, (n, d) contiguous float32 of unit rows.

        A place that the graph's walk could not fill holds -1. Distances: `exact.remeasure`.
        """
        parameters = None
        if self.graph is not None:
            parameters = faiss.SearchParametersHNSW()  # type: ignore[attr-defined]
            # A walk keeps no more candidates than efSearch, so it must hold at least k.
            parameters.efSearch = max(self.graph.ef_search, k)
        _, rows = self.index.search(queries, k, params=parameters)
        return np.asarray(rows, dtype=np.int64)


def open_searcher(path: Path, recipe: IndexSpec, *, dimension: int, rows: int) -> Searcher:
    """Maps a **verified** index file read-only.

    FAISS parses what it is given and a flipped bit in the data loads in silence, so callers
    compare sha256 with the manifest first. Raises `UnusableIndexError` when the file is no index
    or another one than the manifest describes.
    """
    try:
        index = faiss.read_index(str(path), OPEN_FLAGS)
    except RuntimeError as error:
        raise UnusableIndexError(f"{path.name} is not an index that {ENGINE} reads: {error}") from (
            error
        )
    graph = hnsw_of(recipe)
    wanted = faiss.IndexFlatL2 if graph is None else faiss.IndexHNSWFlat
    found = (index.d, index.ntotal, index.metric_type)
    expected = (dimension, rows, faiss.METRIC_L2)
    if not isinstance(index, wanted) or found != expected:
        raise UnusableIndexError(
            f"{path.name} holds a {type(index).__name__} of dimension {index.d}, {index.ntotal}"
            f" rows and metric {index.metric_type}; the manifest describes a {wanted.__name__} of"
            f" dimension {dimension}, {rows} rows and metric {faiss.METRIC_L2}"
        )
    return Searcher(index, graph)
