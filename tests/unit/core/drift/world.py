"""A small world of embeddings: 60 topics of Zipf weights on a sphere of 128 dimensions, a common
offset, and noise whose variance falls by a power law. Mean cosine .26, effective rank about 60."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIM, TOPICS = 128, 60
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """`centres` [topics, dim], `weights` [topics], `noise` [dim]: standard deviations."""

    centres: NDArray[np.float64]
    weights: NDArray[np.float64]
    noise: NDArray[np.float64]
    direction: NDArray[np.float64]

    def draw(
        self, n: int, rng: np.random.Generator, weights: NDArray[np.float64] | None = None
    ) -> Rows:
        """Unit vectors [n, dim]."""
        topics = rng.choice(TOPICS, n, p=self.weights if weights is None else weights)
        x = self.centres[topics] + rng.standard_normal((n, DIM)) * self.noise
        return unit(x)

    def wobbly(self, n: int, rng: np.random.Generator, concentration: float = 200) -> Rows:
        """With topic weights of this window's own, Dirichlet around the world's."""
        return self.draw(n, rng, rng.dirichlet(concentration * self.weights))

    def shifted(self, x: Rows, by: float) -> Rows:
        """Each moved along one direction, and normalised."""
        return unit(x + by * self.direction)

    def collapsed(self, x: Rows, by: float) -> Rows:
        """Each moved towards the mean, and normalised."""
        mean = self.weights @ self.centres
        return unit((1 - by) * x + by * mean)


def unit(x: NDArray[np.floating]) -> Rows:
    rows: Rows = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return rows


def make(seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((TOPICS, DIM))).astype(np.float64)
    offset = unit(rng.standard_normal((1, DIM)))[0]
    zipf = 1 / np.arange(1, TOPICS + 1, dtype=np.float64)
    noise = np.arange(1, DIM + 1, dtype=np.float64) ** -0.3
    noise *= 0.9 / float(np.linalg.norm(noise))
    rotation = rng.permutation(DIM)
    direction = unit(rng.standard_normal((1, DIM)))[0].astype(np.float64)
    return World(0.75 * centres + 0.62 * offset, zipf / zipf.sum(), noise[rotation], direction)
