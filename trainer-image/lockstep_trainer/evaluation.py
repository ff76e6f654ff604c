"""What the embeddings of unseen classes are worth, beside what no training at all would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Inputs, Strings
from lockstep_core.encoding.ragged import batches
from lockstep_core.quality.recall import exact_neighbours, geometry
from lockstep_trainer.networks import Network

Floats = NDArray[np.float32]

ITEMS_PER_PASS = 512
MAX_QUERIES = 10_000
"""More queries than that narrow the interval of recall by less than a percent."""
NEIGHBOURS_PER_BLOCK = 4_000_000


@dataclass(frozen=True)
class Quality:
    """Leave-one-out over a labelled set.

    `recall_at_k`: share of the relevant items in the top k, relative to min(k, relevant).
    `map_at_r`: MAP@R (Musgrave et al., A Metric Learning Reality Check, arXiv 2003.08505).
    `variance`, `mean_cosine`: see `lockstep_core.quality.recall.geometry`.
    """

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    map_at_r: float
    variance: float
    mean_cosine: float
    queries: int

    def to_wire(self) -> dict[str, float]:
        return {
            "recallAt1": round(self.recall_at_1, 6),
            "recallAt5": round(self.recall_at_5, 6),
            "recallAt10": round(self.recall_at_10, 6),
            "mapAtR": round(self.map_at_r, 6),
            "variance": round(self.variance, 6),
            "meanCosine": round(self.mean_cosine, 6),
            "queries": self.queries,
        }


def embed(network: Network, inputs: Inputs, *, device: torch.device) -> Floats:
    """Embeddings float32 [N, D] of raw items, in the network's evaluation mode."""
    network.to(device).eval()
    prepared = network.preprocessing.prepare(inputs)
    embeddings = np.empty((len(inputs), network.architecture.dimension), dtype=np.float32)
    with torch.inference_mode():
        for rows in batches(prepared, ITEMS_PER_PASS):
            batch = torch.from_numpy(prepared[rows]).to(device)
            embeddings[rows] = network(batch).cpu().numpy()
    return embeddings


def measure(embeddings: Floats, labels: Strings, *, seed: int = 0) -> Quality:
    """Quality of `embeddings` [N, D]; at most `MAX_QUERIES` seeded queries against all items.

    Items without another item of their class ask nothing, but are among the answers.

    Raises:
        ValueError: no class has two items.
    """
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    relevant = sizes[codes] - 1
    queries = np.flatnonzero(relevant)
    if not len(queries):
        raise ValueError("no class has two items, so recall measures nothing")
    if len(queries) > MAX_QUERIES:
        queries = np.random.default_rng(seed).choice(queries, MAX_QUERIES, replace=False)
    deepest = max(10, int(relevant.max()))
    step = max(1, NEIGHBOURS_PER_BLOCK // deepest)
    scores = np.concatenate(
        [
            _scores(embeddings, codes, relevant, queries[start : start + step], deepest)
            for start in range(0, len(queries), step)
        ]
    ).mean(axis=0)
    at_1, at_5, at_10, precision = map(float, scores)
    variance, cosine = geometry(embeddings)
    return Quality(at_1, at_5, at_10, precision, variance, cosine, len(queries))


def _scores(
    embeddings: Floats,
    codes: NDArray[np.int64],
    relevant: NDArray[np.int64],
    queries: NDArray[np.int64],
    depth: int,
) -> NDArray[np.float64]:
    """Recall@1, @5, @10 and average precision at R of each query, [Q, 4]."""
    found, _ = exact_neighbours(embeddings[queries], embeddings, depth, exclude=queries)
    hits = (codes[found] == codes[queries][:, None]) & (found >= 0)
    wanted = relevant[queries]
    recalls = [hits[:, :k].sum(axis=1) / np.minimum(k, wanted) for k in (1, 5, 10)]
    ranks = np.arange(1, depth + 1)
    precision = hits.cumsum(axis=1) / ranks
    within = hits & (ranks <= wanted[:, None])
    return np.stack([*recalls, (precision * within).sum(axis=1) / wanted], axis=1)
