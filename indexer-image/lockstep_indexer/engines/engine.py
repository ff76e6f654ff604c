"""What an index type must do: build an index of vectors, open a kept one, search it.

Vectors are unit rows and the metric is Euclidean. Row i of an index is row i of the vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lockstep_core.protocol.indexing import IndexSpec
from lockstep_indexer.vectors import StoredVectors, Vectors

Rows = NDArray[np.int64]
Distances = NDArray[np.float32]
OnRows = Callable[[int], None]
"""Hears how many rows were added so far."""


class UnusableIndexError(ValueError):
    """The file holds no index of the recipe, the metric, the width or the rows expected of it."""


class Searcher(Protocol):
    """An index that answers. It is never mutated: any number of threads may search it."""

    @property
    def rows(self) -> int: ...

    def search(self, queries: Vectors, k: int) -> Rows:
        """Rows (n, k) that the index finds for `queries`, (n, d) contiguous float32 of unit rows.

        A place that the search could not fill holds -1. Distances: `exact.rescore`.
        """
        ...

    def write(self, path: Path) -> None:
        """Keeps the index in one file. Equal indexes have equal bytes."""
        ...


class Engine(Protocol):
    """One index type with the parameters of one recipe."""

    @property
    def provenance(self) -> dict[str, str]:
        """What beside the recipe decides the bytes of an index, for its manifest."""
        ...

    def build(self, stored: StoredVectors, *, seed: int, on_rows: OnRows) -> Searcher:
        """The index of `stored` (n, d). The same vectors, recipe and seed give the same bytes."""
        ...

    def open(self, path: Path, *, dimension: int, rows: int) -> Searcher:
        """Opens a **verified** file without reading it into memory.

        Raises `UnusableIndexError` when it is no index, or another one than the recipe, `dimension`
        and `rows` describe.
        """
        ...


# The engine of a recipe of its type: `ENGINE` of the module of that type.
EngineOf = Callable[[IndexSpec], Engine]
