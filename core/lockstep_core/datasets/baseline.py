"""The raw baseline: what items are worth to a search without any encoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Inputs, Texts, is_text

TEXT_DIMENSION = 512
_BLOCK = 4096
# Odd constants of Fibonacci hashing, one for each place in a trigram (Knuth, TAOCP 6.4).
_PLACES = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)


def flatten_raw(inputs: Inputs) -> NDArray[np.float32]:
    """The raw baseline: items as L2-normalised float32 vectors [N, D], no encoder at all.

    Images and vectors are flattened; of a text, the trigrams of its lower-case characters are
    counted in `TEXT_DIMENSION` hashed places. An item that is all zero stays zero: it has no
    direction.
    """
    if is_text(inputs):
        flat = _trigrams(inputs)
    else:
        flat = inputs.reshape(len(inputs), -1).astype(np.float32)
    # In float64: squares of float32 overflow from 1e19 on, and the baseline would be all zero.
    norms = np.sqrt(np.einsum("nd,nd->n", flat, flat, dtype=np.float64))[:, None]
    np.divide(flat, norms, out=flat, where=norms > 0, casting="same_kind")
    return flat


def _trigrams(texts: Texts) -> NDArray[np.float32]:
    """Signed counts [N, TEXT_DIMENSION] (Weinberger et al., feature hashing, arXiv 0902.2206)."""
    counted = np.zeros((len(texts), TEXT_DIMENSION), dtype=np.float32)
    for start in range(0, len(texts), _BLOCK):
        block = [f" {text.lower()} " for text in texts[start : start + _BLOCK]]
        points = np.frombuffer("".join(block).encode("utf-32-le"), dtype=np.uint32)
        rows = np.repeat(np.arange(len(block)), [len(text) for text in block])
        # Three neighbours of one text; a text has at least two spaces and one character.
        inside = np.flatnonzero(rows[2:] == rows[:-2])
        parts = (points[inside + at] * np.uint32(place) for at, place in enumerate(_PLACES))
        mixed = np.bitwise_xor.reduce(np.stack(list(parts)), axis=0) * np.uint32(_PLACES[0])
        places = rows[inside] * TEXT_DIMENSION + (mixed >> np.uint32(16)) % TEXT_DIMENSION
        signs = 1.0 - 2.0 * (mixed >> np.uint32(15) & 1)
        counts = np.bincount(places, signs, minlength=len(block) * TEXT_DIMENSION)
        counted[start : start + _BLOCK] = counts.reshape(len(block), TEXT_DIMENSION)
    return counted
