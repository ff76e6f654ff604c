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
from tests.unit.core.drift.world import DIM, Rows, World, make, unit

pytestmark = pytest.mark.unit

HELD_OUT, WINDOWS, SECONDS, N, RUNS = 6000, 4, 300, 600, 2
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
        "rare topics common": there().weights[::-1].copy(),
    }


@cache
def traffic(mix: str, seed: int) -> tuple[list[Rows], Embedded]:
    """The candidate's requests, and what stable made of its own, of one mix of topics."""
    rng, weights = np.random.default_rng((seed, 1)), mixes()[mix]
    own, other = ([there().draw(N, rng, weights) for _ in range(WINDOWS)] for _ in range(2))
    return own, pair()[1].serve("glyphs-r1", other)


@cache
def seen(mix: str, seed: int, name: str = "well") -> Sketched:
    own, stable = traffic(mix, seed)
    candidate = pair()[0].serve("glyphs-r2", own, CHANGES[name])
    return Sketched(candidate, WINDOWS, SECONDS, stable)


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


# What may be wrong with a candidate once it serves.
CHANGES: dict[str, Change] = {
    "well": lambda x: x,
    "collapsed by 5 %": lambda x: collapsed(0.05)(x),
    "32 of 128 axes dead": dead(32),
    "shifted": lambda x: shifted(0.1)(x),
    "NaN": nan,
}


def verdicts(gate: Gate, mix: str, name: str = "well") -> Counter[str]:
    judge = geometry.judge if gate is GEOMETRY else drift.judge
    return Counter(judge(gate, seen(mix, seed, name)).verdict for seed in range(RUNS))


@pytest.mark.parametrize("mix", mixes())
def test_ordinary_traffic_fails_no_gate(mix: str) -> None:
    assert verdicts(GEOMETRY, mix)["Fail"] == verdicts(DRIFT, mix)["Fail"] == 0


@pytest.mark.parametrize("mix", ["ten topics", "rare topics common"])
def test_the_same_traffic_exceeds_the_bounds_of_a_candidate_alone(mix: str) -> None:
    """Which is why stable is asked, and why a loss without it decides nothing."""
    alone = replace(seen(mix, 1), stable=None, alone="nothing serves beside it")
    assert max(loss.lower for loss in geometry.losses_of(GEOMETRY, alone)) > 0.05
    assert geometry.judge(GEOMETRY, alone).verdict == "Inconclusive"
    assert drift.judge(DRIFT, alone).verdict == "Inconclusive"


def test_a_collapse_of_5_percent_fails_the_shape_and_not_the_distance() -> None:
    assert verdicts(GEOMETRY, "as held out", "collapsed by 5 %")["Fail"] >= RUNS - 1
    assert verdicts(DRIFT, "as held out", "collapsed by 5 %")["Pass"] == RUNS
    # Nor does it pass where the traffic is not as held out.
    assert verdicts(GEOMETRY, "ten topics", "collapsed by 5 %")["Pass"] == 0


@pytest.mark.parametrize("mix", ["as held out", "ten topics"])
def test_dead_axes_fail_the_shape(mix: str) -> None:
    assert verdicts(GEOMETRY, mix, "32 of 128 axes dead")["Fail"] == RUNS


def test_embeddings_that_are_nan_fail_on_any_traffic() -> None:
    said = geometry.judge(GEOMETRY, seen("ten topics", 1, "NaN"))
    assert said.verdict == "Fail"
    assert f"{4 * N // 50:,} of {4 * N:,} embeddings are invalid (nan: " in said.line


def test_a_candidate_that_moves_fails_the_distance() -> None:
    assert verdicts(DRIFT, "as held out", "shifted")["Fail"] == RUNS
    assert verdicts(DRIFT, "as held out")["Pass"] == RUNS


def test_an_encoder_that_the_same_traffic_moves_further_is_not_failed_by_that() -> None:
    """It sets topics further apart than stable does, so that the same mix of them is three times as
    far, squared."""

    def sharper(x: Rows) -> Rows:
        nearest = (x @ there().centres.T).argmax(axis=1)
        return unit((x + there().centres[nearest]) @ basis())

    other = Encoder(sharper, 3)
    own, stable = traffic("rare topics common", 0)
    found = Sketched(other.serve("glyphs-r2", own), WINDOWS, SECONDS, stable)
    assert found.own.distance and stable.distance
    assert found.own.distance.value > 2 * stable.distance.value
    assert drift.judge(DRIFT, found).verdict == "Inconclusive"
