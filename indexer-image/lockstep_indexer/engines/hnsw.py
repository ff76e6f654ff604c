"""`HNSW`: a walk through a navigable small-world graph (Malkov and Yashunin, arXiv 1603.09320)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss

from lockstep_core.protocol.indexing import HNSWSpec, IndexSpec
from lockstep_indexer.engines.engine import EngineOf, OnRows, Searcher
from lockstep_indexer.engines.faiss_index import PROVENANCE, FaissSearcher, add_rows, read_index
from lockstep_indexer.vectors import StoredVectors


@dataclass(frozen=True)
class HNSWEngine:
    """See `Engine`. `graph` are its parameters, with defaults filled in."""

    graph: HNSWSpec

    @classmethod
    def of(cls, recipe: IndexSpec) -> HNSWEngine:
        return cls(recipe.hnsw or HNSWSpec())

    @property
    def provenance(self) -> dict[str, str]:
        return PROVENANCE

    def build(
        self, stored: StoredVectors, *, seed: int, on_rows: OnRows = lambda _: None
    ) -> Searcher:
        """Levels of the nodes are drawn from `seed`."""
        index = faiss.IndexHNSWFlat(stored.shape[1], self.graph.m, faiss.METRIC_L2)
        index.hnsw.efConstruction = self.graph.ef_construction
        index.hnsw.efSearch = self.graph.ef_search
        index.hnsw.rng = faiss.RandomGenerator(seed % 2**31)  # type: ignore[attr-defined]
        add_rows(index, stored, on_rows)
        return FaissSearcher(index, self._parameters_for)

    def open(self, path: Path, *, dimension: int, rows: int) -> Searcher:
        index = read_index(path, faiss.IndexHNSWFlat, dimension=dimension, rows=rows)
        return FaissSearcher(index, self._parameters_for)

    def _parameters_for(self, k: int) -> Any:
        parameters = faiss.SearchParametersHNSW()  # type: ignore[attr-defined]
        # A walk keeps no more candidates than efSearch, so it must hold at least k.
        parameters.efSearch = max(self.graph.ef_search, k)
        return parameters


ENGINE: EngineOf = HNSWEngine.of
