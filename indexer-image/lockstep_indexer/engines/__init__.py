"""Index types, one a module, behind `Engine`. Nothing outside of this package imports FAISS.

A new type is a row here, a module beside `flat` and `hnsw`, and its parameters and advice in
`lockstep_core.protocol.indexing`.
"""

from collections.abc import Callable

from lockstep_core.protocol.indexing import IndexSpec, IndexType
from lockstep_indexer.engines.engine import (
    Distances,
    Engine,
    Rows,
    Searcher,
    UnusableIndexError,
)
from lockstep_indexer.engines.faiss_index import use_one_thread
from lockstep_indexer.engines.flat import FlatEngine
from lockstep_indexer.engines.hnsw import HNSWEngine

__all__ = [
    "Distances",
    "Engine",
    "Rows",
    "Searcher",
    "UnusableIndexError",
    "engine_of",
    "use_one_thread",
]

_ENGINES: dict[IndexType, Callable[[IndexSpec], Engine]] = {
    IndexType.FLAT: FlatEngine.of,
    IndexType.HNSW: HNSWEngine.of,
}


def engine_of(recipe: IndexSpec) -> Engine:
    """The engine of the recipe's type, with the recipe's parameters."""
    return _ENGINES[recipe.type](recipe)
