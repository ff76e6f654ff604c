"""Training as a whole: recall for its CPU time, and on a GPU its speed and its largest batch.

    python -m benchmarks.training [--fonts FOLDER] [--json FILE] [--batches 256,1024,...]

On any machine: the small glyphs set (drawn from the fonts of examples/glyphs; where they are
missing, it says so), recall@1 on characters that were never trained on, and the CPU seconds of the
training alone. Where there is a GPU: samples per second of one step of the same network, forward
and backward of network and loss and the optimiser's step, and the largest batch that fits, beside
pytorch-metric-learning and sentence-transformers where they are installed. Where there is none, the
result says that nothing was measured on one.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from examples.glyphs.render import HAN, characters, find_faces
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.distributed.process_group import ALONE
from lockstep_trainer.evaluation import embed, measure
from lockstep_trainer.networks import build_network
from lockstep_trainer.objectives import build_objective
from lockstep_trainer.training import train
from lockstep_trainer.training.gradient_cache import backward

PACKAGES = ("torch", "numpy", "pytorch-metric-learning", "sentence-transformers")
BAR = {"recallAt1": 0.985, "cpuSeconds": 20.0}
CHARACTERS, MIN_FONTS, HELD_OUT = 900, 12, 0.3
PER_CLASS, SIDE, DIMENSION = 4, 32, 128
STEPS, WARM_UP = 20, 3
BATCHES = (256, 1024, 4096, 8192)
CPU = torch.device("cpu")

Step = Callable[[Tensor, Tensor], None]
"""Forward, backward and the optimiser's step of a batch: images [B, 32, 32], labels [B]."""


def spec(batch: int, **changes: Any) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///glyphs.npz", "format": "NPZ"},
            "encoder": {"kind": "CNN", "dimension": DIMENSION},
            "batch": {"classes": batch // PER_CLASS, "perClass": PER_CLASS},
            "budget": {"maxSteps": 300},
            **changes,
        }
    )


# -- quality for CPU time


def glyphs(fonts: Path) -> dict[str, Any]:
    """Recall of the default training, and its CPU seconds; or why it was not run."""
    try:
        faces = find_faces(fonts)
    except (FileNotFoundError, OSError) as error:
        return {"skipped": str(error)}
    inputs, labels = drawn(list(characters(faces, HAN, CHARACTERS, MIN_FONTS)))
    measured = quality(inputs, labels, spec(128, encoder={"kind": "CNN", "dimension": 64}))
    met = measured["recallAt1"] >= BAR["recallAt1"] and measured["cpuSeconds"] <= BAR["cpuSeconds"]
    return {**measured, "bar": BAR, "met": met}


def quality(inputs: np.ndarray, labels: np.ndarray, wanted: TrainingSpec) -> dict[str, Any]:
    """Trains on most classes with one thread and measures on the others; any set of images does."""
    names = np.random.default_rng(wanted.seed).permutation(np.unique(labels))
    unseen = np.isin(labels, names[: int(len(names) * HELD_OUT)])
    network = build_network(wanted.encoder, inputs.shape[1:], seed=wanted.seed)
    items = network.preprocessing.prepare(inputs[~unseen])
    torch.set_num_threads(1)
    before = time.process_time()
    done = train(network, items, labels[~unseen], wanted, device=CPU)
    seconds = time.process_time() - before
    measured = measure(embed(network, inputs[unseen], device=CPU), labels[unseen])
    return {
        "trainingItems": int((~unseen).sum()),
        "heldOutItems": int(unseen.sum()),
        "steps": done.steps,
        "cpuSeconds": round(seconds, 1),
        "recallAt1": round(measured.recall_at_1, 4),
        "mapAtR": round(measured.map_at_r, 4),
    }


def drawn(classes: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 32, 32] and their characters [N]."""
    inputs = np.stack([drawing for drawings in classes for drawing in drawings.values()])
    names = [name.partition("/")[0] for drawings in classes for name in drawings]
    return inputs, np.array(names)


# -- speed on a GPU


def ours(batch: int, device: torch.device, *, compiled: bool, chunk: int | None) -> Step:
    wanted = spec(batch, precision={"autocast": "BF16"})
    network = build_network(wanted.encoder, (SIDE, SIDE), seed=0).to(device).train()
    objective = build_objective(wanted, classes=batch // PER_CLASS, seed=0).to(device)
    trunk: Any = torch.compile(network) if compiled else network
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    rows = torch.arange(batch, device=device)

    def step(images: Tensor, labels: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            backward(trunk, objective, images, labels, rows, chunk=chunk, group=ALONE)
        optimiser.step()

    return step


def peer(batch: int, device: torch.device, loss: Callable[[Tensor, Tensor], Tensor]) -> Step:
    """The same network with another library's loss, as its users write it."""
    network = build_network(spec(batch).encoder, (SIDE, SIDE), seed=0).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def step(images: Tensor, labels: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            embeddings = network(images)
        torch.autograd.backward(loss(embeddings.float(), labels))
        optimiser.step()

    return step


def metric_learning(batch: int, device: torch.device) -> Step:
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner

    miner = TripletMarginMiner(margin=0.2, type_of_triplets="semihard")
    loss = TripletMarginLoss(margin=0.2)
    return peer(
        batch, device, lambda vectors, labels: loss(vectors, labels, miner(vectors, labels))
    )


def sentence_transformers(batch: int, device: torch.device) -> Step:
    losses = importlib.import_module("sentence_transformers.losses")
    loss = losses.BatchSemiHardTripletLoss(nn.Identity(), margin=0.2)
    return peer(
        batch, device, lambda vectors, labels: loss.batch_semi_hard_triplet_loss(labels, vectors)
    )


SIDES: dict[str, Callable[[int, torch.device], Step]] = {
    "ours, eager": lambda batch, device: ours(batch, device, compiled=False, chunk=None),
    "ours, compiled": lambda batch, device: ours(batch, device, compiled=True, chunk=None),
    "ours, chunked": lambda batch, device: ours(batch, device, compiled=False, chunk=512),
    "pytorch-metric-learning": metric_learning,
    "sentence-transformers": sentence_transformers,
}


def on_gpu(batches: tuple[int, ...]) -> dict[str, Any]:
    """Samples per second of each side and batch; or that no GPU was measured."""
    if not torch.cuda.is_available():
        return {"skipped": "no GPU was measured: this machine has none that torch can use"}
    device = torch.device("cuda")
    rows = []
    for name, make in SIDES.items():
        cells = [cell(make, batch, device) for batch in batches]
        fitting = [c["batch"] for c in cells if "samplesPerSecond" in c]
        rows.append({"side": name, "cells": cells, "largestBatch": max(fitting, default=None)})
    return {"device": torch.cuda.get_device_name(device), "rows": rows}


def cell(
    make: Callable[[int, torch.device], Step], batch: int, device: torch.device
) -> dict[str, Any]:
    """One side at one batch; a side that is missing or does not fit says so."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    try:
        step = make(batch, device)
        images = torch.randint(0, 256, (batch, SIDE, SIDE), dtype=torch.uint8, device=device)
        labels = torch.arange(batch // PER_CLASS, device=device).repeat_interleave(PER_CLASS)
        for _ in range(WARM_UP):
            step(images, labels)
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        for _ in range(STEPS):
            step(images, labels)
        torch.cuda.synchronize(device)
    except ImportError as error:
        return {"batch": batch, "failed": f"not installed: {error.name}"}
    except torch.OutOfMemoryError:
        return {"batch": batch, "failed": "out of memory"}
    seconds = time.perf_counter() - began
    return {
        "batch": batch,
        "samplesPerSecond": round(STEPS * batch / seconds),
        "peakMiB": round(torch.cuda.max_memory_allocated(device) / 2**20),
    }


# -- what is printed


def machine() -> dict[str, Any]:
    versions: dict[str, Any] = {"python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def table(result: dict[str, Any]) -> str:
    lines = ["| what | measured | bar |", "|---|---|---|"]
    small = result["glyphs"]
    if "skipped" in small:
        lines.append(f"| glyphs (small) | not run: {small['skipped']} | |")
    else:
        lines.append(
            f"| glyphs (small) | R@1 {small['recallAt1']} in {small['cpuSeconds']} CPU-s |"
            f" >= {BAR['recallAt1']} in <= {BAR['cpuSeconds']:.0f} |"
        )
    gpu = result["gpu"]
    if "skipped" in gpu:
        return "\n".join([*lines, f"| GPU | {gpu['skipped']} | |"])
    lines += ["", f"| {gpu['device']} | batch | samples/s | peak MiB |", "|---|---|---|---|"]
    for row in gpu["rows"]:
        for one in row["cells"]:
            speed = one.get("samplesPerSecond", one.get("failed"))
            lines.append(f"| {row['side']} | {one['batch']} | {speed} | {one.get('peakMiB', '')} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"))
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="sizes on a GPU")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    arguments = parser.parse_args()
    batches = tuple(int(size) for size in arguments.batches.split(","))
    result = {"glyphs": glyphs(arguments.fonts), "gpu": on_gpu(batches), "machine": machine()}
    text = json.dumps(result, indent=1)
    print(table(result), file=sys.stderr)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
