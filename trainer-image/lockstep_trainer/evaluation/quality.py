"""Recall, precision and geometry: what is cheap enough for every evaluation during training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Strings
from lockstep_core.quality.recall import exact_neighbours, geometry
from lockstep_trainer.evaluation.embedding import Floats

MAX_QUERIES = 10_000
"""More queries than that narrow the interval of recall by less than a percent."""
NEIGHBOURS_PER_BLOCK = 4_000_000
DEPTHS = (1, 5, 10)


@dataclass(frozen=True)
class Quality:
    """Leave-one-out over a labelled set, each a mean over the queries.

    `recall_at_k`: share of the relevant items in the top k, relative to min(k, relevant).
    `precision_at_k`: relevant items in the top k, relative to k (Manning et al., Introduction to
    Information Retrieval, 8.4): a class of four items reaches at most 3/5 at 5.
    `map_at_r`: MAP@R (Musgrave et al., A Metric Learning Reality Check, arXiv 2003.08505).
    `variance`, `mean_cosine`: see `lockstep_core.quality.recall.geometry`.
    """

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    precision_at_5: float
    precision_at_10: float
    map_at_r: float
    variance: float
    mean_cosine: float
    queries: int

    def to_wire(self) -> dict[str, float]:
        return {
            "recallAt1": round(self.recall_at_1, 6),
            "recallAt5": round(self.recall_at_5, 6),
            "recallAt10": round(self.recall_at_10, 6),
            "precisionAt5": round(self.precision_at_5, 6),
            "precisionAt10": round(self.precision_at_10, 6),
            "mapAtR": round(self.map_at_r, 6),
            "variance": round(self.variance, 6),
            "meanCosine": round(self.mean_cosine, 6),
            "queries": self.queries,
        }


@dataclass(frozen=True)
class Groups:
    """Classes as numbers: `codes` int64 [N] index `names`; `relevant` [N] are the other items of
    an item's own class."""

    names: Strings
    codes: NDArray[np.int64]
    relevant: NDArray[np.int64]

    @classmethod
    def of(cls, labels: Strings) -> Groups:
        names, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        return cls(names, codes, sizes[codes] - 1)

    def queries(self, limit: int, *, seed: int) -> NDArray[np.int64]:
        """Rows with something to find, at most `limit`; ValueError when there is none."""
        rows = np.flatnonzero(self.relevant)
        if not len(rows):
            raise ValueError("no class has two items, so recall measures nothing")
        if len(rows) <= limit:
            return rows
        return np.random.default_rng(seed).choice(rows, limit, replace=False)


def measure(embeddings: Floats, labels: Strings, *, seed: int = 0) -> Quality:
    """Quality of `embeddings` [N, D]; at most `MAX_QUERIES` seeded queries against all items.

    Items without another item of their class ask nothing, but are among the answers.

    Raises:
        ValueError: no class has two items.
    """
    groups = Groups.of(labels)
    queries = groups.queries(MAX_QUERIES, seed=seed)
    deepest = max(*DEPTHS, int(groups.relevant.max()))
    step = max(1, NEIGHBOURS_PER_BLOCK // deepest)
    scores = np.concatenate(
        [
            _scores(embeddings, groups, queries[start : start + step], deepest)
            for start in range(0, len(queries), step)
        ]
    ).mean(axis=0)
    variance, cosine = geometry(embeddings)
    at_1, at_5, at_10, precision_5, precision_10, at_r = map(float, scores)
    return Quality(
        at_1, at_5, at_10, precision_5, precision_10, at_r, variance, cosine, len(queries)
    )


def _scores(
    embeddings: Floats, groups: Groups, queries: NDArray[np.int64], depth: int
) -> NDArray[np.float64]:
    """The first six numbers of `Quality` for each query, [Q, 6]."""
    neighbours, _ = exact_neighbours(embeddings[queries], embeddings, depth, exclude=queries)
    hits = (groups.codes[neighbours] == groups.codes[queries][:, None]) & (neighbours >= 0)
    wanted = groups.relevant[queries]
    within = {k: hits[:, :k].sum(axis=1) for k in DEPTHS}
    ranks = np.arange(1, depth + 1)
    precision = hits.cumsum(axis=1) / ranks
    counted = hits & (ranks <= wanted[:, None])
    return np.stack(
        [
            *(within[k] / np.minimum(k, wanted) for k in DEPTHS),
            *(within[k] / k for k in DEPTHS[1:]),
            (precision * counted).sum(axis=1) / wanted,
        ],
        axis=1,
    )
