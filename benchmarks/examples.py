"""Trains the data sets of examples/ as their configs say and prints what came of it.

    python -m benchmarks.examples [icons glyphs places digits] [--seeds 3] [--steps N] [--json FILE]

Each set must have been made before (`python -m examples.icons` and so on). CPU seconds are those of
this process, on one thread: of the whole run, from reading the set to the published artifact, and
of the training steps alone. Nothing here asserts a duration.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from examples.workspace import folder_of
from lockstep_core.artifacts import ArtifactStore
from lockstep_core.jobs import Reporter, Stopping
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.progress import Phase
from lockstep_trainer.commands.run import train_release

CONFIGS = {
    "icons": folder_of("icons") / "icons.json",
    "glyphs": folder_of("glyphs") / "glyphs-small.json",
    "places": folder_of("places") / "places-small.json",
    "digits": folder_of("digits") / "digits.json",
}


@dataclass(frozen=True)
class Row:
    """One training: recall@1 and MAP@R of held-out items, and CPU seconds of this process."""

    example: str
    seed: int
    steps: int
    train_items: int
    raw: float
    untrained: float
    recall_at_1: float
    map_at_r: float
    cpu_seconds: float
    cpu_seconds_of_training: float


class PhaseClock(Reporter):
    """A reporter that also knows how much CPU time went into the training phase."""

    def __init__(self, release: str) -> None:
        super().__init__("Train", release, stream=io.StringIO())
        self.spent: dict[Phase, float] = {}
        self._phase, self._since = Phase.STARTING, time.process_time()

    def report(self, phase: Phase, done: int = 0, total: int = 0, **metrics: float) -> None:
        now = time.process_time()
        self.spent[self._phase] = self.spent.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now
        super().report(phase, done, total, **metrics)


def train(example: str, seed: int, steps: int | None) -> Row:
    """The example's config with another seed (and other steps); data and split stay."""
    wire = json.loads(CONFIGS[example].read_text())
    with tempfile.TemporaryDirectory() as name:
        # Artifacts go elsewhere, so that no earlier run's result is taken for this one's; the set
        # is linked there, as a store reads nothing outside of its root.
        data = Path(wire["training"]["data"]["uri"].removeprefix("file://"))
        (Path(name) / data.name).hardlink_to(data)
        wire["training"]["data"]["uri"] = f"file://{name}/{data.name}"
        wire["artifacts"]["uri"] = f"file://{name}"
        wire["training"]["seed"] = seed
        if steps is not None:
            wire["training"]["budget"]["maxSteps"] = steps
        config = TrainConfig.model_validate(wire)
        clock = PhaseClock(config.release)
        began = time.process_time()
        facts = train_release(config, ArtifactStore.open(config.artifacts), clock, Stopping())
        spent = time.process_time() - began
    return Row(
        example=example,
        seed=seed,
        steps=facts.steps,
        train_items=facts.train_items,
        raw=facts.metrics["rawRecallAt1"],
        untrained=facts.metrics["untrainedRecallAt1"],
        recall_at_1=facts.metrics["recallAt1"],
        map_at_r=facts.metrics["mapAtR"],
        cpu_seconds=round(spent, 1),
        cpu_seconds_of_training=round(clock.spent.get(Phase.TRAINING, 0.0), 1),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("examples", nargs="*", metavar="NAME", help=f"of {', '.join(CONFIGS)}")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (3)")
    parser.add_argument("--steps", type=int, help="steps of each training (those of its config)")
    parser.add_argument("--json", type=Path, help="write the rows and versions to this file")
    options = parser.parse_args()
    names = options.examples or list(CONFIGS)
    if missing := [name for name in names if name not in CONFIGS or not CONFIGS[name].exists()]:
        print(f"make these first: {', '.join(f'python -m examples.{name}' for name in missing)}")
        return 2
    torch.set_num_threads(1)
    rows = []
    print("| example | seed | steps | raw | untrained | R@1 | MAP@R | CPU s, all | of training |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in names:
        for seed in range(options.seeds):
            rows.append(row := train(name, seed, options.steps))
            print(
                f"| {name} | {seed} | {row.steps} | {row.raw:.3f} | {row.untrained:.3f}"
                f" | {row.recall_at_1:.3f} | {row.map_at_r:.3f} | {row.cpu_seconds}"
                f" | {row.cpu_seconds_of_training} |",
                flush=True,
            )
    if options.json:
        versions = {name: version(name) for name in ("torch", "numpy")}
        result = {
            "rows": [asdict(row) for row in rows],
            "machine": {"cpu": platform.processor() or platform.machine(), **versions},
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
