"""Numbers of pairs of embeddings, from a sample that stays in the pod's memory.

All are sums, so that pods merge. Of a centred quantity each is unbiased at any number of rows, but
for the effective rank and the eigenvalues, which depend on it: those count `FULL` rows or none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift.vectors import Float32, Float64

FULL = 512
EIGENVALUES = 16


def _zeros() -> Float64:
    return np.zeros(EIGENVALUES)


@dataclass(frozen=True, eq=False)
class ReservoirSums:
    """`rows` embeddings in samples of their own, and `pairs` = sum of rows(rows-1)/2.

    `cosine2`: sum over pairs of (x.y)^2 of unit vectors. `rank`: sum over full samples, of which
    there are `full`, of the effective rank. `trace2`: sum of rows * tr C^2, where C is the
    covariance of phi, over samples of `spectrum_rows` rows together; `eigenvalues` [16]: sum over
    the `full_spectra` full ones of the largest of C.
    """

    rows: int = 0
    pairs: int = 0
    cosine2: float = 0.0
    full: int = 0
    rank: float = 0.0
    spectrum_rows: int = 0
    trace2: float = 0.0
    full_spectra: int = 0
    eigenvalues: Float64 = field(default_factory=_zeros)

    def __add__(self, other: ReservoirSums) -> ReservoirSums:
        return ReservoirSums(
            self.rows + other.rows,
            self.pairs + other.pairs,
            self.cosine2 + other.cosine2,
            self.full + other.full,
            self.rank + other.rank,
            self.spectrum_rows + other.spectrum_rows,
            self.trace2 + other.trace2,
            self.full_spectra + other.full_spectra,
            self.eigenvalues + other.eigenvalues,
        )


def measure(units: NDArray[np.floating], phi: Float32 | None = None) -> ReservoirSums:
    """The sums of one sample of unit vectors [rows, dim]; of `phi` [rows, D] too, where given.
    Of fewer than two rows there are none."""
    rows = len(units)
    if rows < 2:
        return ReservoirSums(rows)
    x = np.asarray(units, dtype=np.float32)
    products = _products(x)
    # Over all pairs, both ways and with itself, (x.y)^2 sums up to this whichever way round.
    everything = float(np.sum(products * products))
    cosine2 = min(max(0.0, (everything - rows) / 2), rows * (rows - 1) / 2)
    full = int(rows >= FULL)
    rank = _effective_rank(x, products) if full else 0.0
    sums = ReservoirSums(rows, rows * (rows - 1) // 2, cosine2, full, rank)
    return sums if phi is None else sums + _spectrum(phi)


def effective_rank(x: NDArray[np.floating]) -> float:
    """exp of the entropy of the eigenvalues of the covariance of x [n, dim], as shares of their
    sum (Roy & Vetterli 2007). 1 where all rows are equal."""
    rows = np.asarray(x, dtype=np.float32)
    return _effective_rank(rows, _products(rows))


def _products(x: Float32) -> Float64:
    """x'x [dim, dim] or xx' [n, n], the smaller: their eigenvalues but zeros are the same."""
    n, dim = x.shape
    return (x.T @ x if dim < n else x @ x.T).astype(np.float64)


def _effective_rank(x: Float32, products: Float64) -> float:
    n, dim = x.shape
    mean = x.mean(axis=0, dtype=np.float64)
    matrix = products - n * np.outer(mean, mean) if dim < n else _centred(products)
    values = np.linalg.eigvalsh(matrix)
    # float32 products of n unit vectors are within this.
    values = values[values > 1e-6 * n]
    if not values.size:
        return 1.0
    shares = values / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _centred(gram: Float64) -> Float64:
    means = gram.mean(axis=0)
    centred: Float64 = gram - means[:, None] - means[None, :] + means.mean()
    return centred


def _spectrum(phi: Float32) -> ReservoirSums:
    """tr C^2 without bias (Himeno & Yamada 2014, eq. 1.4, free of normality), and the largest
    eigenvalues with their bias taken off to first order (Lawley 1956): sample eigenvalue l_i is too
    large by l_i/n * sum over j of l_j / (l_i - l_j)."""
    n = len(phi)
    if n < 4:
        return ReservoirSums()
    y = np.asarray(phi, dtype=np.float64)
    centred = _centred(y @ y.T)
    diagonal = np.diag(centred)
    trace, square = float(diagonal.sum()) / (n - 1), float(np.sum(centred**2)) / (n - 1) ** 2
    q = float(np.sum(diagonal**2)) / (n - 1)
    factor = (n - 1) / (n * (n - 2) * (n - 3))
    trace2 = factor * ((n - 1) * (n - 2) * square + trace**2 - n * q)
    if n < FULL:
        return ReservoirSums(spectrum_rows=n, trace2=n * trace2)
    largest = _unbiased(np.linalg.eigvalsh(centred)[::-1] / (n - 1), n)
    return ReservoirSums(spectrum_rows=n, trace2=n * trace2, full_spectra=1, eigenvalues=largest)


def _unbiased(values: Float64, n: int) -> Float64:
    """Of sample eigenvalues, the largest first: the first 16, corrected. Neighbours that are nearly
    equal push one another apart, so their differences are held above a tenth."""
    top = values[:EIGENVALUES, None]
    gaps = top - values[None, :]
    floor = 0.1 * top
    safe = np.where(np.abs(gaps) < floor, np.where(gaps < 0, -floor, floor), gaps)
    terms = np.where(gaps == 0, 0.0, values[None, :] / safe)
    corrected: Float64 = np.clip(values[:EIGENVALUES] * (1 - terms.sum(axis=1) / n), 0.0, None)
    padded = np.zeros(EIGENVALUES)
    padded[: len(corrected)] = corrected
    return padded
