"""The stored vectors: what is checked before they are kept, and the precision that they keep.

Vectors are stored as float16 and the index is built from exactly these rounded rows. Index and
exact search therefore rank the same points, so index recall measures the graph and nothing else,
and the index can be built anew with other parameters without embedding the corpus again. Rounding
moves a unit vector by at most 2**-11 of its length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
StoredVectors = NDArray[np.float16]

# The encoder normalises in float32; anything farther from 1 is not a normalised embedding.
NORM_TOLERANCE = 1e-2
NAMED_AT_MOST = 8


class DegenerateVectorsError(ValueError):
    """Some vectors cannot be indexed. `rows` are their positions, ascending."""

    def __init__(self, message: str, rows: NDArray[np.int64]) -> None:
        super().__init__(message)
        self.rows = rows


def check_normalised(vectors: Vectors, ids: Sequence[str]) -> None:
    """Raises `DegenerateVectorsError`, naming the ids, unless every row is finite and of length 1.

    A zero or NaN vector is at no meaningful distance from anything: FAISS would index it in
    silence and return it, or lose it, for any query.
    """
    norms = np.linalg.norm(vectors, axis=1)
    for description, bad in (
        ("hold NaN or infinity", ~np.isfinite(norms)),
        ("are zero", norms == 0),
        (f"are not of length 1 (± {NORM_TOLERANCE})", np.abs(norms - 1) > NORM_TOLERANCE),
    ):
        rows = np.flatnonzero(bad)
        if len(rows):
            named = ", ".join(ids[row] for row in rows[:NAMED_AT_MOST])
            more = f" and {len(rows) - NAMED_AT_MOST} more" if len(rows) > NAMED_AT_MOST else ""
            raise DegenerateVectorsError(
                f"{len(rows)} of {len(vectors)} vectors {description}: {named}{more}", rows
            )


def round_for_storage(vectors: Vectors) -> StoredVectors:
    """(n, d) float32 of unit rows → (n, d) float16."""
    return np.ascontiguousarray(vectors, dtype=np.float16)


def restore(stored: StoredVectors) -> Vectors:
    """(n, d) float16 → the same numbers as contiguous float32, which FAISS takes."""
    return np.ascontiguousarray(stored, dtype=np.float32)
