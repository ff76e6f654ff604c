"""How often the gates `Geometry` and `Drift` find what they are for, and err on ordinary traffic.

Two encoders of one world: stable, and a candidate with another basis and noise of its own, each
with its own features and held-out baseline. Traffic reaches both, each request one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest

from lockstep_core.drift.accumulator import Accumulator
from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.beside import embedded
from lockstep_core.drift.features import Features, of_embeddings
from lockstep_core.drift.sketch import Sketch, Span
from lockstep_core.protocol.drift import Embedded
from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.gates import drift, geometry
from lockstep_operator.decide.snapshot.measurements import Sketched
from tests.unit.core.drift.world import DIM, TOPICS, Rows, World, make, unit

pytestmark = pytest.mark.unit

HELD_OUT, WINDOWS, SECONDS = 6000, 4, 300
Change = Callable[[Rows], Rows]
GEOMETRY = Gate.model_validate(
    {"name": "shape", "type": "Geometry", "maxLoss": "0.05", "minSamples": 1000}
)
DRIFT = Gate.model_validate(
    {"name": "far", "type": "Drift", "maxDistance": "0.030", "minSamples": 1000}
)


@dataclass
class Encoder:
    """`change` is what is wrong with it once it serves."""

    encode: Change
    seed: int
    features: Features = field(init=False)
    baseline: Baseline = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        x = self.encode(there().draw(HELD_OUT, rng))
        self.features = of_embeddings(x[:2000], rng, size=256)
        self.baseline = from_embeddings(x, self.features, rng)

    def serve(self, release: str, traffic: list[Rows], change: Change = lambda x: x) -> Embedded:
        sketches = [self.sketch(x, number, change) for number, x in enumerate(traffic)]
        return embedded(release, sketches, self.baseline)

    def sketch(self, x: Rows, window: int, change: Change) -> Sketch:
        rng = np.random.default_rng(window)
        pod = Accumulator(self.features, Span(window, SECONDS), rng, spectrum=False)
        pod.add(change(self.encode(x)))
        return pod.sketch()


@cache
def there() -> World:
    return make()


@cache
def basis() -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(5).standard_normal((DIM, DIM)))[0]


@cache
def pair() -> tuple[Encoder, Encoder]:
    rng = np.random.default_rng(6)
    other = Encoder(lambda x: unit(x @ basis() + 0.02 * rng.standard_normal(x.shape)), 2)
    return other, Encoder(lambda x: x, 1)


def mixes() -> dict[str, np.ndarray | None]:
    """Ordinary traffic that is not as the held-out set."""
    few, one = there().weights.copy(), there().weights.copy()
    few[10:] = 0
    one[3] += 0.5
    return {
        "as held out": None,
        "ten topics": few / few.sum(),
        "half one topic": one / one.sum(),
        "all topics alike": np.full(TOPICS, 1 / TOPICS),
        "rare topics common": there().weights[::-1].copy(),
    }


def seen(mix: str, seed: int, change: Change = lambda x: x, n: int = 1000) -> Sketched:
    """The same mix of topics for both, in windows of n."""
    rng, weights = np.random.default_rng(seed), mixes()[mix]
    candidate, stable = pair()
    traffic = [[there().draw(n, rng, weights) for _ in range(WINDOWS)] for _ in range(2)]
    own = candidate.serve("glyphs-r2", traffic[0], change)
    return Sketched(own, WINDOWS, SECONDS, stable.serve("glyphs-r1", traffic[1]))


def collapsed(by: float) -> Change:
    mean = (there().weights @ there().centres) @ basis()
    return lambda x: unit((1 - by) * x + by * mean)


def dead(axes: int) -> Change:
    """The last of its axes give nothing any more."""

    def change(x: Rows) -> Rows:
        kept = x.copy()
        kept[:, -axes:] = 0
        return unit(kept)

    return change


def shifted(by: float) -> Change:
    return lambda x: unit(x + by * (there().direction @ basis()))


def nan(x: Rows) -> Rows:
    broken = x.copy()
    broken[::50] = np.nan
    return broken


def verdicts(gate: Gate, mix: str, change: Change = lambda x: x, runs: int = 6) -> Counter[str]:
    judge = geometry.judge if gate is GEOMETRY else drift.judge
    return Counter(judge(gate, seen(mix, seed, change)).verdict for seed in range(runs))


@pytest.mark.parametrize("mix", mixes())
def test_ordinary_traffic_fails_no_gate(mix: str) -> None:
    assert verdicts(GEOMETRY, mix)["Pass"] >= 5
    assert verdicts(GEOMETRY, mix)["Fail"] == 0
    assert verdicts(DRIFT, mix)["Fail"] == 0


@pytest.mark.parametrize("mix", ["ten topics", "rare topics common"])
def test_the_same_traffic_fails_a_candidate_that_is_held_against_its_baseline_alone(
    mix: str,
) -> None:
    """Which is why stable is asked."""
    alone = replace(seen(mix, 1), stable=None, alone="nothing serves beside it")
    losses = geometry.losses_of(GEOMETRY, alone)
    assert max(loss.lower for loss in losses) > 0.05
    assert geometry.judge(GEOMETRY, alone).verdict == "Inconclusive"


@pytest.mark.parametrize("mix", ["as held out", "ten topics"])
def test_a_collapse_of_5_percent_fails_the_shape_and_not_the_distance(mix: str) -> None:
    assert verdicts(GEOMETRY, mix, collapsed(0.05))["Fail"] >= 4
    assert verdicts(DRIFT, mix, collapsed(0.05))["Fail"] == 0


def test_dead_axes_fail_the_shape() -> None:
    assert verdicts(GEOMETRY, "as held out", dead(32))["Fail"] == 6


def test_embeddings_that_are_nan_fail_on_any_traffic() -> None:
    said = geometry.judge(GEOMETRY, seen("ten topics", 1, nan))
    assert said.verdict == "Fail" and "80 of 4,000 embeddings are invalid (nan: 80)" in said.line


def test_a_candidate_that_moves_fails_the_distance() -> None:
    assert verdicts(DRIFT, "as held out", shifted(0.1))["Fail"] == 6
    assert verdicts(DRIFT, "as held out")["Pass"] == 6
