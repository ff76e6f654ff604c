"""What every FAISS index type shares: threads, rows in, file out, file in, search.

The metric is squared L2 (`METRIC_L2`), which ranks as Euclidean distance does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lockstep_indexer.engines.engine import OnRows, Rows, UnusableIndexError
from lockstep_indexer.vectors import StoredVectors, Vectors, restore

VERSION = f"faiss {faiss.__version__}"
# The graph of one corpus may differ between processors: it is no promise, so it is on record.
PROVENANCE = {"engine": VERSION, "instructions": str(faiss.SIMDConfig.get_level_name())}
ADD_BATCH = 4096
# Mapped, not read: memory is shared page cache. IO_FLAG_MMAP alone is ignored by Flat and HNSW.
OPEN_FLAGS = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY


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


def add_rows(index: Any, stored: StoredVectors, on_rows: OnRows) -> None:
    """Adds `stored` (n, d) to an empty index.

    Rows are added by one thread: with several, the order in which the links of a graph are made,
    and so its bytes, may change from run to run, and a build that is run again would get another
    digest.
    """
    rows = len(stored)
    with _single_threaded():
        for start in range(0, rows, ADD_BATCH):
            index.add(restore(stored[start : start + ADD_BATCH]))
            on_rows(min(start + ADD_BATCH, rows))


def read_index(path: Path, kind: type[Any], *, dimension: int, rows: int) -> Any:
    """Maps a **verified** index file read-only; see `Engine.open`.

    FAISS parses what it is given and a flipped bit in the data loads in silence, so callers
    compare sha256 with the manifest first.
    """
    try:
        index = faiss.read_index(str(path), OPEN_FLAGS)
    except RuntimeError as error:
        raise UnusableIndexError(
            f"{path.name} is not an index that {VERSION} reads: {error}"
        ) from error
    held = (index.d, index.ntotal, index.metric_type)
    if not isinstance(index, kind) or held != (dimension, rows, faiss.METRIC_L2):
        raise UnusableIndexError(
            f"{path.name} holds a {type(index).__name__} of dimension {index.d}, {index.ntotal}"
            f" rows and metric {index.metric_type}; the manifest describes a {kind.__name__} of"
            f" dimension {dimension}, {rows} rows and metric {faiss.METRIC_L2}"
        )
    return index


@dataclass(frozen=True)
class FaissSearcher:
    """See `Searcher`. The index is never mutated: `parameters_for(k)` travel with each call."""

    index: Any
    parameters_for: Callable[[int], Any] = lambda k: None

    @property
    def rows(self) -> int:
        return int(self.index.ntotal)

    def search(self, queries: Vectors, k: int) -> Rows:
        _, rows = self.index.search(queries, k, params=self.parameters_for(k))
        return np.asarray(rows, dtype=np.int64)

    def write(self, path: Path) -> None:
        faiss.write_index(self.index, str(path))
