"""`Flat`: every vector is compared with the query, so the search is exact and there is nothing to
choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import faiss

from lockstep_core.protocol.indexing import IndexSpec
from lockstep_indexer.engines.engine import EngineOf, OnRows, Searcher
from lockstep_indexer.engines.faiss_index import PROVENANCE, FaissSearcher, add_rows, read_index
from lockstep_indexer.vectors import StoredVectors


@dataclass(frozen=True)
class FlatEngine:
    """See `Engine`."""

    @classmethod
    def of(cls, recipe: IndexSpec) -> FlatEngine:
        return cls()

    @property
    def provenance(self) -> dict[str, str]:
        return PROVENANCE

    def build(
        self, stored: StoredVectors, *, seed: int, on_rows: OnRows = lambda _: None
    ) -> Searcher:
        """Nothing is drawn, so every `seed` gives the same index."""
        index = faiss.IndexFlatL2(stored.shape[1])
        add_rows(index, stored, on_rows)
        return FaissSearcher(index)

    def open(self, path: Path, *, dimension: int, rows: int) -> Searcher:
        return FaissSearcher(read_index(path, faiss.IndexFlatL2, dimension=dimension, rows=rows))


ENGINE: EngineOf = FlatEngine.of
