"""What an item is, whatever it is called: digests of content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Inputs, Strings, is_text

BYTES = 16


def contents(inputs: Inputs) -> Iterator[bytes]:
    """A digest of each item: of a text's UTF-8, of an image's or a vector's numbers.

    Of one set only: an image and a vector may share one.
    """
    if is_text(inputs):
        for text in inputs:
            yield hashlib.blake2b(text.encode(), digest_size=BYTES).digest()
        return
    for item in inputs:
        yield hashlib.blake2b(np.ascontiguousarray(item).data, digest_size=BYTES).digest()


def distinct_items(inputs: Inputs, labels: Strings, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of `rows`, the first of each content and label, in the order given.

    A copy of an item is no other item of its class: it is found by any encoder, so a recall that
    counts it says less about the rest the more often it occurs.
    """
    first: dict[tuple[bytes, str], int] = {}
    for row in rows.tolist():
        (digest,) = contents(inputs[row : row + 1])
        first.setdefault((digest, str(labels[row])), row)
    return np.fromiter(first.values(), dtype=rows.dtype)
