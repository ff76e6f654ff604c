"""Index types, one a module, behind `Engine`. Nothing outside of this package imports FAISS.

A new type is its word, traits and parameters in `lockstep_core.protocol.indexing`, and the module
here that has its name: its `ENGINE` makes an engine of a recipe. A type without a module fails when
the indexer starts.
"""

from importlib import import_module

from lockstep_core.protocol.indexing import IndexSpec, IndexType
from lockstep_indexer.engines.engine import (
    Distances,
    Engine,
    EngineOf,
    Rows,
    Searcher,
    UnusableIndexError,
)
from lockstep_indexer.engines.faiss_index import use_one_thread

__all__ = [
    "Distances",
    "Engine",
    "Rows",
    "Searcher",
    "UnusableIndexError",
    "engine_of",
    "use_one_thread",
]


def _engine(kind: IndexType) -> EngineOf:
    """From module `hnsw` of `HNSW`."""
    of: EngineOf = import_module(f"{__name__}.{kind.name.lower()}").ENGINE
    return of


_ENGINES = {kind: _engine(kind) for kind in IndexType}


def engine_of(recipe: IndexSpec) -> Engine:
    """The engine of the recipe's type, with the recipe's parameters."""
    return _ENGINES[recipe.type](recipe)
