"""What drift policies cost the operator: one look of one policy, and the pass that tells it.

`python -m benchmarks.drift_policies` prints CPU milliseconds (median) and bytes. A look reads the
sketches of `--pods` pods as JSON, merges them, judges the window and writes the state as JSON; what
a network adds is not in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lockstep_core.drift.accumulator import Accumulator
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.features import of_embeddings
from lockstep_core.drift.sketch import Span, merge_all
from lockstep_core.drift.sketch_wire import sketch_from_json, sketch_to_wire
from lockstep_core.drift.tracking import begin, step
from lockstep_core.drift.tracking_records import state_to_json
from lockstep_core.protocol.drift import Parameters
from lockstep_core.protocol.monitoring import TrafficRole
from lockstep_operator.decide import decide
from tests.unit.decide import worlds
from tests.unit.decide.policies import watched

PER_POD, BASELINE = 250, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=8, help="of a release (%(default)s)")
    parser.add_argument("--dim", type=int, default=768, help="of an embedding (%(default)s)")
    parser.add_argument("--windows", type=int, default=40, help="that are judged (%(default)s)")
    given = parser.parse_args()
    found = {"look": _look(given.pods, given.dim, given.windows), "pass": _pass()}
    print(json.dumps(found, indent=1))


def _look(pods: int, dim: int, windows: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    features = of_embeddings(_draw(rng, 2000, dim), rng)
    parameters = Parameters("glyphs-r1", baseline_windows=BASELINE, spans=(1, 12, 288))
    state, costs, given = begin("policy", parameters), [], list[Bet]()
    for window in range(BASELINE + windows):
        given = [*given, *state.coming_bets][-3:]
        held = [bet for bet in given if bet.from_window <= window][-1:]
        wires = [_told(rng, features, window, dim, held) for _ in range(pods)]
        before = time.process_time()
        sketch = merge_all(sketch_from_json(wire) for wire in wires)
        state = step(state, window, {TrafficRole.QUERY: sketch}, parameters)
        text = state_to_json(state)
        costs.append(time.process_time() - before)
    judged = costs[BASELINE:]
    return {
        "cpu_ms": round(1000 * statistics.median(judged), 2),
        "cpu_ms_of_the_window_that_ends_learning": round(1000 * costs[BASELINE - 1], 1),
        "answer_bytes_of_a_pod": len(wires[0]),
        "state_bytes": len(text),
    }


def _told(rng: np.random.Generator, features: Any, window: int, dim: int, bets: Any) -> bytes:
    pod = Accumulator(features, Span(window, 300), rng, bets=bets)
    pod.add(_draw(rng, PER_POD, dim))
    return json.dumps(sketch_to_wire(pod.sketch())).encode()


def _draw(rng: np.random.Generator, n: int, dim: int) -> Any:
    x = rng.standard_normal((n, dim)) + 0.5
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def _pass() -> dict[str, float]:
    """CPU of one pass over a model at rest, with a policy and without."""
    with_policy = watched.watched()
    watched.quiet(with_policy)
    without = worlds.monitored()
    worlds_of = {"with_a_policy_ms": with_policy, "without_ms": without}
    return {name: _median(partial(_decide, world)) for name, world in worlds_of.items()}


def _decide(world: Any) -> None:
    decide(world.observed(), world.settings, world.now)


def _median(work: Callable[[], None], times: int = 200) -> float:
    costs = []
    for _ in range(times):
        before = time.process_time()
        work()
        costs.append(time.process_time() - before)
    return round(1000 * statistics.median(costs), 2)


if __name__ == "__main__":
    main()
