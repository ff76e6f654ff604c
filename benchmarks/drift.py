"""Cost of watching embeddings for drift, beside libraries that answer the same question.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python -m benchmarks.drift [--peers] [--json FILE]

One thread, process CPU time, the least of several. `--peers` also runs alibi-detect's `MMDDrift`
and evidently's MMD drift on embeddings, where they are installed, over the same 1,000 embeddings of
128 dimensions against a reference. They test by permutations or bootstraps; ours compares one
sketch with a table that was made beforehand: the same question, by other work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift.accumulator import Accumulator
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.features import of_embeddings
from lockstep_core.drift.mmd import distance
from lockstep_core.drift.sketch import Sketch, Span, merge

DIMS = (128, 384, 768, 1024)
BATCH = 256
PACKAGES = ("numpy", "alibi-detect", "torch", "evidently", "pandas")
Rows = NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--peers", action="store_true", help="also time the libraries")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "embedding": [per_embedding(dim, arguments.repeats) for dim in DIMS],
        "question": question(arguments.repeats, arguments.peers),
        "versions": {"python": platform.python_version()} | _versions(),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS", "all"),
    }
    print_table(result)
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def draw(n: int, dim: int, rng: np.random.Generator) -> Rows:
    """Unit vectors around a common mean."""
    x = rng.standard_normal((n, dim)) + 0.6
    rows: Rows = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return rows


def least_cpu(work: Callable[[], object], repeats: int) -> float:
    """Seconds of process CPU time."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def per_embedding(dim: int, repeats: int) -> dict[str, Any]:
    """Microseconds of an embedding in batches of 256, with all that a pod does to it, of its
    features alone, and of the end of a window."""
    rng = np.random.default_rng(0)
    features = of_embeddings(draw(1000, dim, rng), rng)
    x = draw(20 * BATCH, dim, rng)
    batches = np.split(x, 20)

    def pod() -> Accumulator:
        one = Accumulator(features, Span(0, 300), np.random.default_rng(1))
        for batch in batches:
            one.add(batch)
        return one

    closing = pod()
    sketch = closing.sketch()
    return {
        "dim": dim,
        "us": round(least_cpu(pod, repeats) / len(x) * 1e6, 2),
        "featuresUs": round(
            least_cpu(lambda: [features.waves(batch) for batch in batches], repeats) / len(x) * 1e6,
            2,
        ),
        "windowMs": round(least_cpu(closing.sketch, repeats) * 1e3, 1),
        "mergeUs": round(
            least_cpu(lambda: [merge(sketch, sketch) for _ in range(100)], repeats) * 1e4, 1
        ),
    }


def question(repeats: int, peers: bool, n: int = 1000, dim: int = 128) -> dict[str, Any]:
    """CPU milliseconds to say whether 1,000 embeddings drifted from a reference: with all that a
    pod does to them, geometry among it, and by the distance alone, which is what the peers say."""
    rng = np.random.default_rng(0)
    reference, window = draw(20_000, dim, rng), draw(n, dim, rng)
    features = of_embeddings(reference, rng)
    baseline = from_embeddings(reference, features, rng)

    def ours() -> float:
        pod = Accumulator(features, Span(0, 300), np.random.default_rng(1), spectrum=False)
        pod.add(window)
        found = distance(pod.sketch(), baseline, 200)
        assert found is not None
        return found.p_value

    def distance_alone() -> float:
        sums = features(window).sum(axis=0, dtype=np.float64)
        sketch = Sketch(features.digest, "Query", Span(0, 300), n, sums, np.zeros(dim))
        found = distance(sketch, baseline, 200)
        assert found is not None
        return found.p_value

    times = {
        "ours, as a pod": least_cpu(ours, repeats),
        "ours, distance": least_cpu(distance_alone, repeats),
    }
    if peers:
        for name, peer in (("alibi-detect", alibi), ("evidently", evidently)):
            try:
                work = peer(reference[:n], window)
            except ImportError as error:
                print(f"{name} is not installed: {error}", file=sys.stderr)
                continue
            times[name] = least_cpu(work, 2)
    return {
        name: {"ms": round(seconds * 1e3, 2), "ratio": round(seconds / times["ours, as a pod"], 1)}
        for name, seconds in times.items()
    }


def alibi(reference: Rows, window: Rows) -> Callable[[], object]:
    """`MMDDrift` on torch, 100 permutations, as it comes."""
    import torch
    from alibi_detect.cd import MMDDrift

    torch.set_num_threads(1)
    detector = MMDDrift(reference, backend="pytorch", p_val=0.05, n_permutations=100)
    return lambda: detector.predict(window)


def evidently(reference: Rows, window: Rows) -> Callable[[], object]:
    """Its MMD of embeddings with bootstraps, as its presets call it."""
    import pandas
    from evidently.legacy.metrics.data_drift.embedding_drift_methods import mmd

    names = [f"e{column}" for column in range(reference.shape[1])]
    frames = [pandas.DataFrame(rows, columns=names) for rows in (window, reference)]
    method = mmd(bootstrap=True, quantile_probability=0.95, pca_components=None)
    return lambda: method(*frames)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def print_table(result: dict[str, Any]) -> None:
    print(f"{'dim':>6} {'us/embedding':>13} {'features':>9} {'window ms':>10} {'merge us':>9}")
    for row in result["embedding"]:
        print(
            f"{row['dim']:6} {row['us']:13.2f} {row['featuresUs']:9.2f} {row['windowMs']:10.1f}"
            f" {row['mergeUs']:9.1f}"
        )
    for name, row in result["question"].items():
        print(f"{name:16} {row['ms']:12.2f} ms {row['ratio']:9.1f}x")


if __name__ == "__main__":
    sys.exit(main())
