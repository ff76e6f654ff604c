"""Everything that is measured of one encoder, once its training is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lockstep_core.datasets.dataset import Strings
from lockstep_trainer.evaluation.embedding import Floats
from lockstep_trainer.evaluation.quality import Quality, measure
from lockstep_trainer.evaluation.ranking import Ranking, rank
from lockstep_trainer.evaluation.spread import effective_rank
from lockstep_trainer.evaluation.verification import Verification, verify


@dataclass(frozen=True)
class Assessment:
    """`ranking` is of a sample of the queries of `quality`; `verification` is None where no two
    classes can be compared."""

    quality: Quality
    ranking: Ranking
    verification: Verification | None
    effective_rank: float

    @property
    def mean_average_precision(self) -> float:
        return float(self.ranking.average_precision.mean())

    @property
    def mean_reciprocal_rank(self) -> float:
        return float(self.ranking.reciprocal_rank.mean())

    def to_wire(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {
            **self.quality.to_wire(),
            "map": round(self.mean_average_precision, 6),
            "mrr": round(self.mean_reciprocal_rank, 6),
            "rankedQueries": len(self.ranking.queries),
            "effectiveRank": round(self.effective_rank, 4),
        }
        if self.verification is not None:
            numbers["verification"] = self.verification.to_wire()
        return numbers


def assess(embeddings: Floats, labels: Strings, *, seed: int = 0) -> Assessment:
    """Of `embeddings` float32 [N, D], L2-normalised and finite; in bounded memory, by blocks.

    Raises:
        ValueError: no class has two items, or an embedding is not finite.
    """
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings are not finite: nothing can be measured of them")
    return Assessment(
        quality=measure(embeddings, labels, seed=seed),
        ranking=rank(embeddings, labels, seed=seed),
        verification=verify(embeddings, labels, seed=seed),
        effective_rank=effective_rank(embeddings, seed=seed),
    )
