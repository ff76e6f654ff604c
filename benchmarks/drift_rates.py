"""Error rates of the evidence rule, of more runs than the unit tests make.

    nice python -m benchmarks.drift_rates [--runs N] [--json FILE]

Runs of 100 windows of 500 embeddings in the synthetic world of the tests (128 dimensions, 60
topics), 256 random features, threshold 8,640: false alarms where nothing drifts, where the mix of
topics wobbles (Dirichlet 200) against a tolerance from 40 time blocks and against one from sampling
error alone, and windows until a shift is found.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.evidence import Terms, begin, step
from lockstep_core.drift.features import Features, of_embeddings
from lockstep_core.drift.vectors import Float32
from tests.unit.core.drift import world
from tests.unit.core.drift.windows import summed

N, WINDOWS, THRESHOLD, SIZE = 500, 100, 8640, 256
Draw = Callable[[np.random.Generator], Float32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments.runs)
    for name, row in rows.items():
        print(f"{name:40} {row}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def measure(runs: int) -> dict[str, Any]:
    here, rng = world.make(), np.random.default_rng(0)
    x = here.draw(20_000, rng)
    features = of_embeddings(x, rng, size=SIZE)
    iid = from_embeddings(x, features, rng)
    blocks = np.concatenate([here.wobbly(N, rng) for _ in range(40)])
    wobbly = from_embeddings(blocks, features, rng, blocks=np.repeat(np.arange(40), N))
    quiet = fresh(features, lambda r: here.draw(N, r), rng)
    wobble = fresh(features, lambda r: here.wobbly(N, r), rng)
    found: dict[str, Any] = {
        "quiet": alarms(iid, quiet, runs),
        "wobble, tolerance of time blocks": alarms(wobbly, wobble, runs),
        "wobble, tolerance of sampling error": alarms(iid, wobble, runs),
    }
    for by in (0.03, 0.05, 0.1):
        shifted = fresh(features, partial(shift, here, by), rng)
        found[f"shift {by}"] = delays(iid, quiet, shifted, max(1, runs // 4))
    return found | {"epsilons": [round(iid.epsilon_auto, 4), round(wobbly.epsilon_auto, 4)]}


def shift(here: world.World, by: float, rng: np.random.Generator) -> world.Rows:
    return here.shifted(here.draw(N, rng), by)


def fresh(
    features: Features,
    window: Callable[[np.random.Generator], world.Rows],
    rng: np.random.Generator,
) -> Draw:
    """Draws one of 150 windows, with its features."""
    windows = [features(window(rng)) for _ in range(150)]
    return lambda random: windows[int(random.integers(len(windows)))]


def first_alarm(baseline: Baseline, parts: list[tuple[Draw, int]], seed: int) -> int | None:
    """The window of the first alarm."""
    rng = np.random.default_rng(seed)
    state = begin("rates", baseline, Terms(baseline.epsilon_auto, THRESHOLD))
    window = 0
    for draw, count in parts:
        for _ in range(count):
            bet = state.bet_for(window)
            phi = draw(rng)
            state = step(state, summed(baseline.features_digest, phi, window, [bet]), baseline)
            if state.alarm:
                return window
            window += 1
    return None


def alarms(baseline: Baseline, draw: Draw, runs: int) -> str:
    count = sum(first_alarm(baseline, [(draw, WINDOWS)], seed) is not None for seed in range(runs))
    return f"{count} of {runs} runs alarm"


def delays(baseline: Baseline, quiet: Draw, shifted: Draw, runs: int) -> str:
    """Ten quiet windows, then at most fifty that are shifted."""
    ends = [first_alarm(baseline, [(quiet, 10), (shifted, 50)], seed) for seed in range(runs)]
    found = sorted(end - 9 for end in ends if end is not None and end >= 10)
    middle = found[len(found) // 2] if found else None
    return f"{len(found)} of {runs} found, after {middle} windows in the median"


if __name__ == "__main__":
    sys.exit(main())
