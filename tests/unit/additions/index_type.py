"""A toy index type: cells around centres, of which the nearest few are searched."""

from tests.unit.additions.edits import Addition, NewFile, after, before

INDEXING = "core/lockstep_core/protocol/indexing.py"

ADDITION = Addition(
    what="an index type",
    changes=(
        after(INDEXING, '    HNSW = "HNSW"', '    IVF = "IVF"'),
        after(
            INDEXING,
            '    IndexType.HNSW: IndexTraits(exact=False, recall_parameter="hnsw.efSearch"),',
            '    IndexType.IVF: IndexTraits(exact=False, recall_parameter="ivf.probes"),',
        ),
        before(
            INDEXING,
            "class IndexSpec(Contract):",
            '''
class IVFSpec(Contract):
    """Parameters of the cells."""

    cells: int = Field(default=16, ge=1, le=65_536, description="Cells of the space.")
    probes: int = Field(default=4, ge=1, le=65_536, description="Cells that are searched.")


''',
        ),
        after(
            INDEXING,
            "        json_schema_extra=validations(",
            """
            rule(
                "!has(self.ivf) || self.type == 'IVF'",
                "`ivf` must not be set unless `type` is IVF",
                ".ivf",
            ),
""",
        ),
        after(
            INDEXING,
            "    hnsw: HNSWSpec | None ="
            ' Field(default=None, description="Parameters of an HNSW index.")',
            "    ivf: IVFSpec | None ="
            ' Field(default=None, description="Parameters of an IVF index.")',
        ),
        NewFile(
            "indexer-image/lockstep_indexer/engines/ivf.py",
            '''
"""`IVF`: only the cells whose centres are nearest to the query are searched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss

from lockstep_core.protocol.indexing import IndexSpec, IVFSpec
from lockstep_indexer.engines.engine import EngineOf, OnRows, Searcher
from lockstep_indexer.engines.faiss_index import PROVENANCE, FaissSearcher, add_rows, read_index
from lockstep_indexer.vectors import StoredVectors, restore


@dataclass(frozen=True)
class IVFEngine:
    """See `Engine`."""

    parameters: IVFSpec

    @classmethod
    def of(cls, recipe: IndexSpec) -> IVFEngine:
        return cls(recipe.ivf or IVFSpec())

    @property
    def provenance(self) -> dict[str, str]:
        return PROVENANCE

    def build(self, stored: StoredVectors, *, seed: int, on_rows: OnRows) -> Searcher:
        """Centres are drawn from `seed`."""
        width = stored.shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, self.parameters.cells)
        index.cp.seed = seed % 2**31
        index.train(restore(stored))
        add_rows(index, stored, on_rows)
        return FaissSearcher(index, self._parameters_for)

    def open(self, path: Path, *, dimension: int, rows: int) -> Searcher:
        index = read_index(path, faiss.IndexIVFFlat, dimension=dimension, rows=rows)
        return FaissSearcher(index, self._parameters_for)

    def _parameters_for(self, k: int) -> Any:
        return faiss.SearchParametersIVF(nprobe=self.parameters.probes)


ENGINE: EngineOf = IVFEngine.of
''',
            named="indexer-image/lockstep_indexer/engines/<type>.py",
        ),
    ),
)
