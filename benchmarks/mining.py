"""Loss and gradient of a batch beside pytorch-metric-learning: CPU time and memory.

    python -m benchmarks.mining [--full] [--json FILE]

Every cell is a process of its own with one thread and at most 8 GB more address space than it has
after its imports. Times are the least process CPU time of several passes, forward and backward of
miner and loss alone; memory is the peak of the resident set above what it was before the first
pass. Both sides compute the same loss: tests/unit/trainer/test_trainer_peer.py proves it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import memory

DIMENSION = 128
MARGIN = 0.2
CAP_BYTES = 8 * 2**30
MOST_PASSES = 10
CELL_SECONDS = 6.0
PACKAGES = ("torch", "pytorch-metric-learning")

PEER_KINDS = {"AllSemiHard": "semihard", "Hard": "hard", "BatchAll": "all"}
CHUNKED = "GradientCache"


@dataclass(frozen=True)
class Cell:
    """One side of one comparison. `side`: `ours` or `peer`; of the gradient cache `chunked` or
    `whole`."""

    strategy: str
    batch: int
    per_class: int
    side: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--full", action="store_true", help="all rows, several minutes")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(measure(Cell(**json.loads(arguments.cell)))))
        return 0
    result = {"rows": [compare(*row) for row in rows(full=arguments.full)], "machine": machine()}
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0


def rows(*, full: bool) -> list[tuple[str, int, int]]:
    """(strategy, batch, items of each class)."""
    quick = [("AllSemiHard", 512, 4), ("AllSemiHard", 1024, 4), ("BatchHard", 2048, 4)]
    if not full:
        return [*quick, (CHUNKED, 2048, 4)]
    wide = {
        ("AllSemiHard", 32): (2048, 1024, 512),
        ("AllSemiHard", 4): (2048, 1024, 512, 128),
        ("BatchAll", 4): (512, 1024),
        ("Hard", 4): (1024,),
        ("BatchHard", 4): (4096, 2048, 1024, 512, 128),
        ("DistanceWeighted", 4): (1024,),
        ("SemiHard", 4): (512, 2048),
        (CHUNKED, 4): (2048,),
    }
    return [(name, size, k) for (name, k), sizes in wide.items() for size in sizes]


def compare(strategy: str, batch: int, per_class: int) -> dict[str, Any]:
    """Both sides of a row, one after the other; prints its line."""
    sides: tuple[str, ...] = ("chunked", "whole") if strategy == CHUNKED else ("ours", "peer")
    # pytorch-metric-learning has no FaceNet rule: one negative for each anchor and positive.
    sides = sides[:1] if strategy == "SemiHard" else sides
    row: dict[str, Any] = {"strategy": strategy, "batch": batch, "perClass": per_class}
    for side in sides:
        row[side] = run(Cell(strategy, batch, per_class, side))
    first, last = row[sides[0]], row[sides[-1]]
    if len(sides) > 1 and "cpuMs" in first and "cpuMs" in last:
        row["timesLess"] = round(last["cpuMs"] / first["cpuMs"], 1)
    if strategy == CHUNKED:
        row["gradientApart"] = apart(first.pop("gradient", None), last.pop("gradient", None))
    shown = "  ".join(f"{side} {line(row[side])}" for side in sides)
    print(f"{strategy:16} B={batch:<5} K={per_class:<3} {shown}  {ending(row)}")
    sys.stdout.flush()
    return row


def ending(row: dict[str, Any]) -> str:
    if "gradientApart" in row:
        return f"gradients {row['gradientApart']} apart"
    return f"{row['timesLess']}x less" if "timesLess" in row else ""


def line(cell: dict[str, Any]) -> str:
    if "failed" in cell:
        return f"FAILS ({cell['failed']})"
    return f"{cell['cpuMs']:9.2f} ms {cell['extraMiB']:7.1f} MiB"


def run(cell: Cell) -> dict[str, Any]:
    """What a fresh process measured, or how it failed."""
    command = [sys.executable, "-m", "benchmarks.mining", "--cell"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        [*command, json.dumps(dataclasses.asdict(cell))],
        capture_output=True,
        text=True,
        env=one_thread,
        check=False,
    )
    if done.returncode == 0:
        measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return measured
    last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    over = "alloc" in last.lower() or "memory" in last.lower()
    return {"failed": "over 8 GB" if over else last[:120]}


def measure(cell: Cell) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    chunked = cell.strategy == CHUNKED
    warm = dataclasses.replace(cell, batch=cell.per_class * 8)
    build = network_step if chunked else (our_step if cell.side == "ours" else peer_step)
    build(warm)()
    step = build(cell)
    memory.cap(CAP_BYTES)
    memory.forget_peak()
    before = memory.resident_mib()
    times: list[float] = []
    while len(times) < MOST_PASSES and (len(times) < 3 or sum(times) < CELL_SECONDS):
        began = time.process_time()
        step()
        times.append(time.process_time() - began)
    measured: dict[str, Any] = {
        "cpuMs": round(min(times) * 1e3, 3),
        "extraMiB": round(memory.peak_mib() - before, 1),
        "passes": len(times),
    }
    if chunked:
        measured["gradient"] = step()
    return measured


def our_step(cell: Cell) -> Callable[[], object]:
    import torch

    from lockstep_core.protocol.training import TrainingSpec
    from lockstep_trainer.objectives import build_objective

    vectors, labels = batch(cell)
    spec = TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///data.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": DIMENSION},
            "loss": {"margin": str(MARGIN)},
            "mining": {"strategy": cell.strategy},
            "budget": {"maxSteps": 1},
        }
    )
    objective = build_objective(spec, classes=cell.batch // cell.per_class, seed=0)
    items = torch.arange(cell.batch)

    def step() -> None:
        torch.autograd.backward(objective(vectors.clone().requires_grad_(), labels, items).loss)

    return step


def peer_step(cell: Cell) -> Callable[[], object]:
    import torch
    from pytorch_metric_learning import losses, miners, reducers

    vectors, labels = batch(cell)
    loss = losses.TripletMarginLoss(margin=MARGIN)
    if cell.strategy in PEER_KINDS:
        miner = miners.TripletMarginMiner(MARGIN, PEER_KINDS[cell.strategy])
    elif cell.strategy == "BatchHard":
        miner = miners.BatchHardMiner()
        loss = losses.TripletMarginLoss(margin=MARGIN, reducer=reducers.MeanReducer())
    else:
        miner = miners.DistanceWeightedMiner()

    def step() -> None:
        leaf = vectors.clone().requires_grad_()
        torch.autograd.backward(loss(leaf, labels, miner(leaf, labels)))

    return step


def network_step(cell: Cell) -> Callable[[], object]:
    """Of a small convolutional network with GroupNorm; gives the gradient as a list."""
    import torch

    from lockstep_core.protocol.training import TrainingSpec
    from lockstep_trainer.networks import build_network
    from lockstep_trainer.objectives import build_objective
    from lockstep_trainer.training.gradient_cache import backward

    spec = TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///data.npz", "format": "NPZ"},
            "encoder": {"kind": "CNN", "dimension": 64, "width": 16},
            "mining": {"strategy": "BatchHard"},
            "budget": {"maxSteps": 1},
        }
    )
    network = build_network(spec.encoder, (32, 32), seed=0).train()
    objective = build_objective(spec, classes=cell.batch // cell.per_class, seed=0)
    labels, items = torch.arange(cell.batch) // cell.per_class, torch.arange(cell.batch)
    images = pictures(labels)

    def step() -> list[float]:
        network.zero_grad(set_to_none=True)
        chunk = 128 if cell.side == "chunked" else None
        backward(network, objective, images, labels, items, chunk=chunk)
        gradients = [part.grad.flatten() for part in network.parameters() if part.grad is not None]
        gradient: list[float] = torch.cat(gradients).tolist()
        return gradient

    return step


def batch(cell: Cell) -> tuple[Any, Any]:
    """Random directions around a weak centre of their class, [B, D], and their classes."""
    import torch

    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(cell.batch) // cell.per_class
    centres = torch.randn(cell.batch // cell.per_class, DIMENSION, generator=generator)
    noise = torch.randn(cell.batch, DIMENSION, generator=generator)
    return torch.nn.functional.normalize(0.5 * centres[labels] + noise, dim=1), labels


def pictures(labels: Any) -> Any:
    """Blots of a class's own shape and strength, uint8 [B, 32, 32]: noise alone would look the same
    to an untrained network, and rounding would then decide which item is the nearest."""
    import torch

    generator = torch.Generator().manual_seed(0)
    shapes = torch.rand(len(labels), 1, 4, 4, generator=generator)[labels]
    shapes = shapes.round() * torch.rand(len(labels), 1, 1, 1, generator=generator)
    blots = torch.nn.functional.interpolate(shapes, size=(32, 32), mode="bilinear")[:, 0]
    noise = torch.rand(blots.shape, generator=generator) * 0.3
    return ((blots + noise).clamp(max=1.0) * 255).to(torch.uint8)


def apart(first: list[float] | None, second: list[float] | None) -> float | None:
    """Relative distance of two gradients."""
    if first is None or second is None:
        return None
    difference = sum((a - b) ** 2 for a, b in zip(first, second, strict=True))
    return float(f"{(difference / sum(b * b for b in second)) ** 0.5:.2g}")


def machine() -> dict[str, Any]:
    names = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((row.split(":")[1].strip() for row in names if row.startswith("model name")), "")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    sys.exit(main())
