"""What the stable encoder sees of the traffic is no fault of the candidate."""

from __future__ import annotations

import numpy as np
import pytest

from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.errors import BaselineError
from lockstep_core.drift.features import of_embeddings
from lockstep_core.drift.residual import fit, squared_distance
from tests.unit.core.drift.windows import summed
from tests.unit.core.drift.world import Rows, World, unit

pytestmark = pytest.mark.unit
N, BLOCKS = 500, 40


def test_the_residual_finds_what_the_candidate_alone_cannot_show(
    there: World, reference: Rows
) -> None:
    """Two encoders of the same inputs; the mix of topics wobbles; then the candidate's embeddings
    are shifted, which its own distance hides in the wobble."""
    rng = np.random.default_rng(50)
    # The candidate: another basis, and noise of its own.
    basis = np.linalg.qr(rng.standard_normal((128, 128)))[0]

    def candidate(x: Rows) -> Rows:
        return unit(x @ basis + 0.02 * rng.standard_normal(x.shape))

    def shifted(x: Rows) -> Rows:
        return unit(candidate(x) + 0.05 * (there.direction @ basis))

    encoders = (lambda x: x, candidate, shifted)
    baselines = []
    for encode in encoders[:2]:
        x = encode(reference[:10_000])
        features = of_embeddings(x, rng, size=512)
        baselines.append((features, from_embeddings(x, features, rng)))

    def distances(x: Rows, which: int) -> float:
        features, baseline = baselines[min(which, 1)]
        return squared_distance(summed(features.digest, features(encoders[which](x))), baseline)

    quiet = [there.wobbly(N, rng) for _ in range(BLOCKS)]
    stable, own = ([distances(x, which) for x in quiet] for which in (0, 1))
    found = fit(own, stable, N)
    assert found.correlation > 0.7
    threshold = float(np.quantile(own, 0.95))
    alone = beside = false = 0
    for _ in range(60):
        x = there.wobbly(N, rng)
        ts, tc = distances(x, 0), distances(x, 2)
        alone += tc > threshold
        beside += found.exceeds(tc, ts)
        false += found.exceeds(distances(x, 1), ts)
    assert beside >= 1.2 * alone, (beside, alone, false)
    assert beside >= 45
    assert false <= 9


def test_the_line_is_that_of_least_squares() -> None:
    ts = np.linspace(0.001, 0.002, 30)
    found = fit((0.0005 + 1.5 * ts).tolist(), ts.tolist(), 500)
    assert (found.intercept, found.slope) == (pytest.approx(0.0005), pytest.approx(1.5))
    assert found.residual(0.003 + 0.0009, 0.0016667) == pytest.approx(0.0009, abs=1e-6)
    assert found.excess_ratio(0.0039, 0.0016667, 0.03) == pytest.approx(1.0, abs=0.01)
    assert found.excess_ratio(0.0, 0.0016667, 0.03) == 0


def test_traffic_does_not_push_the_candidate_back() -> None:
    ts = np.linspace(0.001, 0.002, 30)
    found = fit((0.005 - ts).tolist(), ts.tolist(), 500)
    assert found.slope == 0
    assert fit([0.1] * 30, [0.2] * 30, 500).correlation == 0


def test_too_few_blocks_fit_nothing() -> None:
    with pytest.raises(BaselineError, match="19 blocks, fewer than 20"):
        fit([0.1] * 19, [0.1] * 19, 500)
    with pytest.raises(BaselineError, match="same blocks"):
        fit([0.1] * 30, [0.1] * 29, 500)
