"""What live embeddings are compared with: sums of a reference, and how they vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift.features import Features
from lockstep_core.drift.geometry import Bands
from lockstep_core.drift.sketch import Sketch
from lockstep_core.drift.vectors import Float64

Source = Literal["HeldOut", "Traffic"]


@dataclass(frozen=True)
class BlockNull:
    """Leave-one-out unbiased MMD^2 of `count` time blocks of `n` (their median) embeddings."""

    count: int
    n: int
    q50: float
    q95: float
    q99: float


@dataclass(frozen=True, eq=False)
class Baseline:
    """`mean` mu_r [D] of `n` embeddings; `trace`, `trace2`, `lambda1`: tr C, tr C^2 and the largest
    eigenvalue of the covariance C of phi; `quantiles` of S where nothing drifts, by level; `blocks`:
    None where nothing is known of how time blocks vary."""

    source: Source
    role: str
    features_digest: str
    mean: Float64
    n: int
    trace: float
    trace2: float
    lambda1: float
    quantiles: Mapping[float, float]
    blocks: BlockNull | None
    geometry: Bands | None

    @property
    def digest(self) -> str:
        raise NotImplementedError

    @property
    def block_calibrated(self) -> bool:
        """Whether the tolerance covers how time blocks vary, and not sampling error alone."""
        return self.blocks is not None

    @property
    def epsilon_auto(self) -> float:
        """max(2 sqrt(tr C / N), 95 % quantile of the MMD of a time block)."""
        raise NotImplementedError

    @property
    def epsilon_term(self) -> Literal["SamplingError", "Blocks"]:
        """Which of the two is larger."""
        raise NotImplementedError


def from_embeddings(
    embeddings: NDArray[np.floating],
    features: Features,
    rng: np.random.Generator,
    *,
    role: str = "Query",
    blocks: NDArray[np.integer] | None = None,
) -> Baseline:
    """`blocks` [n]: the number of the time block of each row, in recorded traffic."""
    raise NotImplementedError


def from_windows(sketches: Sequence[Sketch], rng: np.random.Generator) -> Baseline:
    """Of the merged sketches of the first windows of live traffic: no embedding is kept."""
    raise NotImplementedError
