"""`lockstep-encoder replay`: held-out queries through a release that serves, end to end.

The queries are those of the evaluation, and the answers are what users would get: the release's own
encoder, its own index, over HTTP. It measures and judges nothing.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.datasets import contents, distinct_items, load_dataset, split
from lockstep_core.datasets.dataset import Dataset, Inputs, Strings
from lockstep_core.jobs import Reporter, Stopping, run_job
from lockstep_core.protocol.config import ReplayConfig
from lockstep_core.protocol.http import MAX_K, Neighbour
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import Program, ReplayFacts
from lockstep_core.quality.statistics import summarise
from lockstep_encoder.replay_client import ReleaseClient

# One request: few enough that the replay is no load of its own, and far below the body's limit.
BATCH_ITEMS, BATCH_NUMBERS = 32, 256 * 1024


@dataclass(frozen=True)
class Queries:
    """`inputs` [N, ...] and `labels` [N]. `copies` are the ids of rows of the index that are the
    query itself, and `relevant` [N] the number of other rows of its class."""

    inputs: Inputs
    labels: Strings
    copies: list[frozenset[str]]
    relevant: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def replay(config_path: Path | None) -> int:
    """Runs the Job; returns the exit code."""
    return run_job(
        program=Program.REPLAY, config_type=ReplayConfig, work=measure, config_file=config_path
    )


def measure(
    config: ReplayConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping
) -> ReplayFacts:
    """Relevance recall@k of at most `maxSamples` held-out queries, as the release answers them.

    Raises DatasetError, ArtifactError, StoreError, or JobFailure when the release does not answer,
    or is not the pair that was asked for.
    """
    reporter.report(Phase.VALIDATING)
    with tempfile.TemporaryDirectory(prefix="lockstep-replay-") as folder:
        # Each in a folder of its own: what comes from a bucket is copied under one name.
        data = load_dataset(config.data, store, _made(Path(folder) / "data"))
        stopping.check()
        corpus = load_dataset(
            config.source, store, _made(Path(folder) / "source"), need_labels=False
        )
    queries = choose(data, corpus, config)
    del corpus
    begun = time.monotonic()
    recall = asyncio.run(_ask(queries, config, reporter, stopping))
    return ReplayFacts(
        index=config.index,
        build_digest=config.build_digest,
        space_id=config.space_id,
        dataset_digest=data.digest,
        k=config.k,
        sent=len(queries),
        recall=summarise(recall),
        seconds=round(time.monotonic() - begun, 3),
    )


def choose(data: Dataset, corpus: Dataset, config: ReplayConfig) -> Queries:
    """A seeded choice of held-out items, with what the corpus holds for each of them.

    A row with the same bytes is the query itself, whatever its id: a data set and the corpus may
    share items. It would be its own nearest neighbour and measure nothing. For the same reason held
    out items that are equal, of one label, are one query.
    """
    held_out = distinct_items(data.inputs, data.labels, split(data, config.data.split)[1])
    size = min(config.max_samples, len(held_out))
    rows = np.sort(np.random.default_rng(config.seed).choice(held_out, size=size, replace=False))
    inputs, labels = data.inputs[rows], data.labels[rows]
    digests = list(contents(inputs))
    wanted, rows_of = set(digests), defaultdict[bytes, list[int]](list)
    for row, digest in enumerate(contents(corpus.inputs)):
        if digest in wanted:
            rows_of[digest].append(row)
    sizes = Counter(corpus.labels.tolist())
    relevant = [
        sizes[label] - sum(corpus.labels[row] == label for row in rows_of[digest])
        for label, digest in zip(labels.tolist(), digests, strict=True)
    ]
    copies = [frozenset(str(corpus.ids[row]) for row in rows_of[digest]) for digest in digests]
    return Queries(inputs, labels, copies, np.array(relevant, dtype=np.int64))


def recall_of(
    hits: Sequence[Neighbour], label: str, copies: frozenset[str], relevant: int, k: int
) -> float:
    """|relevant in the top k| / min(k, |relevant|), copies of the query left out.

    NaN where the index holds nothing relevant, and where a search cannot return k rows beside the
    copies: what lies behind them was not asked for, so it was not missed.
    """
    if relevant <= 0 or k + len(copies) > MAX_K:
        return math.nan
    others = [hit for hit in hits if hit.id not in copies][:k]
    return min(1.0, sum(hit.label == label for hit in others) / min(k, relevant))


async def _ask(
    queries: Queries, config: ReplayConfig, reporter: Reporter, stopping: Stopping
) -> list[float]:
    recall: list[float] = []
    item = math.prod(queries.inputs.shape[1:])
    step = max(1, min(BATCH_ITEMS, BATCH_NUMBERS // item))
    async with ReleaseClient(config) as client:
        for at in range(0, len(queries), step):
            stopping.check()
            part = range(at, min(at + step, len(queries)))
            extra = max(len(queries.copies[row]) for row in part)
            inputs = queries.inputs[at : at + step]
            results = await client.search(inputs, min(MAX_K, config.k + extra))
            recall += [
                recall_of(
                    hits,
                    str(queries.labels[row]),
                    queries.copies[row],
                    int(queries.relevant[row]),
                    config.k,
                )
                for row, hits in zip(part, results, strict=True)
            ]
            reporter.report(Phase.EVALUATING, len(recall), len(queries))
    return recall


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
