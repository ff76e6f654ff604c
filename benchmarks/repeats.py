"""An index of distinct vectors beside a plain FAISS graph of all rows, where many rows are equal.

    python -m benchmarks.repeats [--seeds N] [--json FILE]

10,000 unit rows in 200 clusters, 2,000 of which have one vector; 1,000 queries near the other rows.
Both sides have the same recipe, seed and thread. `recall` is recall@10 against exact search over
all rows (a row as near as the tenth counts), `nothing` the share of queries with none of them,
`told` what sampling the side's own vectors as queries says. Costs are process CPU time, of a query
the least of five rounds; `bytes` are index, vectors and mapping. The plain graph is searched wider,
too, and both are without repeats.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from lockstep_core.protocol.indexing import HNSWSpec, IndexSpec, IndexType
from lockstep_indexer.distinct import RowGroups, find_groups
from lockstep_indexer.engines import Searcher, engine_of, use_one_thread
from lockstep_indexer.exact import exact_search, rescore
from lockstep_indexer.measure import index_recall, measure_recall
from lockstep_indexer.opened_build import search_whole
from lockstep_indexer.vectors import StoredVectors, Vectors
from tests.unit.indexer.support import Repeated, repeated_vectors

K, ROUNDS = 10, 5
WIDTHS = (64, 512)
PLAIN, DISTINCT = "FAISS, all rows", "distinct vectors"
PACKAGES = ("faiss-cpu", "numpy")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=3, help="corpora (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    arguments = parser.parse_args()
    use_one_thread()
    rows = [
        row
        for copies in (2000, 1)
        for seed in range(arguments.seeds)
        for row in compare(repeated_vectors(seed, copies=copies), copies, seed)
    ]
    print(table(rows))
    where = machine(PACKAGES) | {"instructions": str(faiss.SIMDConfig.get_level_name())}
    result = {"rows": rows, "k": K, "machine": where}
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0


def compare(corpus: Repeated, copies: int, seed: int) -> list[dict[str, Any]]:
    rows = []
    for side, width in ((PLAIN, WIDTHS[0]), (PLAIN, WIDTHS[1]), (DISTINCT, WIDTHS[0])):
        found = measured(corpus, side, width)
        rows.append({"copies": copies, "seed": seed, "side": side, "efSearch": width, **found})
    return rows


def measured(corpus: Repeated, side: str, width: int) -> dict[str, Any]:
    recipe = IndexSpec(type=IndexType.HNSW, hnsw=HNSWSpec(ef_search=width))
    begun = time.process_time()
    groups = find_groups(corpus.stored) if side == DISTINCT else None
    kept = corpus.stored if groups is None else corpus.stored[groups.first]
    searcher = engine_of(recipe).build(kept, seed=0, on_rows=lambda _: None)
    build_seconds = time.process_time() - begun
    recall, microseconds = recall_and_cost(corpus, searching(searcher, kept, groups))
    told = measure_recall(searcher, kept, K, seed=0).per_query
    return {
        "recall": round(float(recall.mean()), 4),
        "nothing": round(float((recall == 0).mean()), 4),
        "told": round(float(told.mean()), 4),
        "cpuMicroseconds": round(microseconds, 1),
        "buildCPUSeconds": round(build_seconds, 2),
        "bytes": size(searcher, kept, groups),
    }


def searching(
    searcher: Searcher, kept: StoredVectors, groups: RowGroups | None
) -> Callable[[Vectors], NDArray[np.int64]]:
    return lambda queries: search_whole(searcher, kept, queries, K, groups=groups)[0]


def recall_and_cost(
    corpus: Repeated, search: Callable[[Vectors], NDArray[np.int64]]
) -> tuple[NDArray[np.float64], float]:
    """Recall of each query, and the CPU microseconds of one, alone, in the best round."""
    spent = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        found = np.concatenate([search(query[None]) for query in corpus.queries])
        spent = min(spent, 1e6 * (time.process_time() - begun) / len(corpus.queries))
    exact_rows, exact_distances = exact_search(corpus.queries, corpus.stored, K)
    rows, distances = rescore(corpus.queries, corpus.stored, found)
    recall = index_recall(
        rows, exact_rows, found_distances=distances, exact_distances=exact_distances
    )
    return recall, spent


def size(searcher: Searcher, kept: StoredVectors, groups: RowGroups | None) -> int:
    with tempfile.TemporaryDirectory(prefix="lockstep-repeats-") as folder:
        searcher.write(Path(folder) / "index")
        index = (Path(folder) / "index").stat().st_size
    mapping = 0 if groups is None else groups.rows.nbytes + groups.offsets.nbytes
    return index + kept.nbytes + mapping


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| copies | seed | index | efSearch | recall@10 | nothing right | told | CPU µs a query"
        " | build CPU s | MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['copies']:,} | {row['seed']} | {row['side']} | {row['efSearch']} |"
            f" {row['recall']:.3f} | {row['nothing']:.3f} | {row['told']:.3f} |"
            f" {row['cpuMicroseconds']:.0f} | {row['buildCPUSeconds']:.1f} |"
            f" {row['bytes'] / 1e6:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
