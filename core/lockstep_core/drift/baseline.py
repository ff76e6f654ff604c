"""What live embeddings are compared with: the mean of their features, and how windows vary.

Made in `baseline_making`, of held-out embeddings or of the first windows of live traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from lockstep_core.drift import vectors
from lockstep_core.drift.geometry import Bands
from lockstep_core.drift.vectors import Float64

SCHEMA = "lockstep.dev/drift-baseline/v1"
# Fewer embeddings make a baseline that hardly anything can be told from.
RECOMMENDED = 10_000


class Source(StrEnum):
    """Held-out embeddings of the training, or the first windows of live traffic."""

    HELD_OUT = "HeldOut"
    TRAFFIC = "Traffic"


class Term(StrEnum):
    """What the automatic tolerance covers: sampling error of the baseline alone, or how time blocks
    of quiet traffic vary."""

    SAMPLING = "SamplingError"
    BLOCKS = "Blocks"


@dataclass(frozen=True)
class BlockNull:
    """Quantiles of the unbiased MMD^2 of each of `count` time blocks, of `n` embeddings in the
    median, to all the others together. They may be negative."""

    count: int
    n: int
    q50: float
    q95: float
    q99: float


@dataclass(frozen=True, eq=False)
class Baseline:
    """`mean` mu_r [D] of `n` embeddings; `trace`, `trace2`, `lambda1`: tr C, tr C^2 and the largest
    eigenvalue of the covariance C of phi; `quantiles`: of S (`null`), by level; `blocks`: None
    where nothing is known of how time blocks vary; `geometry`: None from too few embeddings.

    `mean` is rounded to float32, as it is stored, so that a baseline that was read equals the one
    that was written.
    """

    source: Source
    role: str
    features_digest: str
    mean: Float64
    n: int
    trace: float
    trace2: float
    lambda1: float
    quantiles: Mapping[float, float]
    blocks: BlockNull | None = None
    geometry: Bands | None = None

    def __post_init__(self) -> None:
        rounded = np.asarray(self.mean, dtype=np.float32).astype(np.float64)
        object.__setattr__(self, "mean", rounded)

    @cached_property
    def content(self) -> dict[str, object]:
        """JSON of all of it; the digest covers this."""
        blocks, bands = self.blocks, self.geometry
        return {
            "schema": SCHEMA,
            "source": str(self.source),
            "role": self.role,
            "featuresDigest": self.features_digest,
            "mean": vectors.encode(self.mean),
            "size": len(self.mean),
            "n": self.n,
            "trace": self.trace,
            "trace2": self.trace2,
            "lambda1": self.lambda1,
            "quantiles": [[level, value] for level, value in sorted(self.quantiles.items())],
            "blocks": None
            if blocks is None
            else {
                "count": blocks.count,
                "n": blocks.n,
                "q50": blocks.q50,
                "q95": blocks.q95,
                "q99": blocks.q99,
            },
            "geometry": None
            if bands is None
            else {
                "n": bands.n,
                "bands": {str(gauge): list(band) for gauge, band in sorted(bands.bands.items())},
            },
        }

    @cached_property
    def digest(self) -> str:
        """`sha256:<64 hex>`. Evidence against one baseline says nothing of another."""
        return vectors.digest(self.content)

    @property
    def block_calibrated(self) -> bool:
        """Whether the automatic tolerance covers how time blocks of quiet traffic vary. One that
        does not covers sampling error alone, and a change in the mix of topics exceeds it."""
        return self.blocks is not None

    @property
    def small(self) -> bool:
        return self.n < RECOMMENDED

    @property
    def sampling_error(self) -> float:
        """2 sqrt(tr C / N): MMD by which the baseline itself may be off."""
        return 2 * float(np.sqrt(self.trace / self.n))

    @property
    def block_distance(self) -> float | None:
        """MMD that 95 % of quiet time blocks stay within, if it is known."""
        return None if self.blocks is None else float(np.sqrt(max(0.0, self.blocks.q95)))

    @property
    def epsilon_auto(self) -> float:
        """The automatic tolerance, MMD: the larger of the two above. Never 0."""
        return max(self.sampling_error, self.block_distance or 0.0, 1e-6)

    @property
    def epsilon_term(self) -> Term:
        """Which of the two is larger."""
        blocks = self.block_distance
        return Term.BLOCKS if blocks is not None and blocks > self.sampling_error else Term.SAMPLING
