"""Evidence over many windows: how often it errs, how soon it finds, and what it survives."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lockstep_core.drift import evidence_record
from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.errors import DriftError, MismatchError, SketchError
from lockstep_core.drift.evidence import EvidenceState, Form, Terms, begin, step
from lockstep_core.drift.features import Features, draw
from lockstep_core.drift.sketch import BetSums, Span, empty
from lockstep_core.drift.vectors import Float32
from tests.unit.core.drift.windows import summed
from tests.unit.core.drift.world import Rows, World

pytestmark = pytest.mark.unit

N, WINDOWS, RUNS = 500, 100, 25
# One false alarm in 30 days of windows of five minutes.
BUDGET = 8640
Draw = Callable[[np.random.Generator], Float32]


@pytest.fixture(scope="module")
def narrow(features: Features) -> Features:
    """A quarter of the features, so that thousands of windows can be run."""
    return draw(128, features.bandwidths, np.random.default_rng(5), size=256)


@pytest.fixture(scope="module")
def known(reference: Rows, narrow: Features) -> Baseline:
    return from_embeddings(reference, narrow, np.random.default_rng(6))


def of_pool(pool: Float32) -> Draw:
    """Windows of a pool of features."""

    def window(rng: np.random.Generator) -> Float32:
        start = int(rng.integers(0, len(pool) - N))
        return pool[start : start + N]

    return window


@pytest.fixture(scope="module")
def quiet(there: World, narrow: Features) -> Draw:
    return of_pool(narrow(there.draw(60_000, np.random.default_rng(30))))


def run(
    state: EvidenceState, baseline: Baseline, draws: Draw, windows: int, seed: int
) -> EvidenceState:
    rng = np.random.default_rng(seed)
    first = -1 if state.window is None else state.window
    for window in range(first + 1, first + 1 + windows):
        bet = state.bet_for(window)
        sketch = summed(baseline.features_digest, draws(rng), window, [bet])
        state = step(state, sketch, baseline)
    return state


def alarms(baseline: Baseline, draws: Draw, terms: Terms) -> int:
    return sum(
        run(begin("policy", baseline, terms), baseline, draws, WINDOWS, seed).alarm
        for seed in range(RUNS)
    )


def test_a_quiet_world_does_not_alarm(known: Baseline, quiet: Draw) -> None:
    assert alarms(known, quiet, Terms(known.epsilon_auto, BUDGET)) <= 0.02 * RUNS


def test_nor_does_a_mix_of_topics_that_wobbles(there: World, narrow: Features) -> None:
    """With a tolerance from the time blocks of a baseline of recorded traffic."""
    rng = np.random.default_rng(31)
    blocks, count = 40, 120
    x = np.concatenate([there.wobbly(N, rng) for _ in range(blocks)])
    numbers = np.repeat(np.arange(blocks), N)
    baseline = from_embeddings(x, narrow, rng, blocks=numbers)
    pools = [narrow(there.wobbly(N, rng)) for _ in range(count)]
    terms = Terms(baseline.epsilon_auto, BUDGET)
    assert baseline.block_calibrated
    assert alarms(baseline, lambda r: pools[r.integers(count)], terms) <= 0.02 * RUNS


def test_a_shift_is_found_within_ten_windows(
    there: World, narrow: Features, known: Baseline, quiet: Draw
) -> None:
    rng = np.random.default_rng(32)
    shifted = of_pool(narrow(there.shifted(there.draw(20_000, rng), 0.05)))
    for seed in range(10):
        state = begin("policy", known, Terms(known.epsilon_auto, BUDGET))
        state = run(state, known, quiet, 10, seed)
        assert not state.alarm
        state = run(state, known, shifted, 10, seed)
        assert state.alarm
        assert state.alarm_window is not None
        assert 12 <= state.alarm_window < 20
        assert state.log10_k >= state.log10_threshold == pytest.approx(3.94, abs=0.01)


def test_one_run_of_a_canary_ends_with_few_false_alarms(known: Baseline, quiet: Draw) -> None:
    terms = Terms(known.epsilon_auto, 20, Form.FINITE)
    assert alarms(known, quiet, terms) <= 0.05 * RUNS


@pytest.mark.parametrize("epsilon", [0.0, -0.1, float("nan"), 2.0])
def test_a_tolerance_of_nothing_is_refused_with_the_reason(epsilon: float) -> None:
    with pytest.raises(DriftError, match="the baseline is a sample"):
        Terms(epsilon, BUDGET)


@pytest.mark.parametrize("threshold", [1.0, 0.0, float("nan"), float("inf")])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(DriftError, match="threshold"):
        Terms(0.01, threshold)
    with pytest.raises(DriftError, match="lead 0"):
        Terms(0.01, 20, lead=0)


def test_no_factor_is_worth_more_than_its_stake(known: Baseline, quiet: Draw) -> None:
    """The mean of the product under the null, at the largest stake, along the direction that live
    traffic really differs by: at most 1."""
    rng = np.random.default_rng(33)
    state = run(begin("policy", known, Terms(known.epsilon_auto, BUDGET)), known, quiet, 20, 1)
    bet = state.coming_bet
    assert bet is not None
    bet = replace(bet, stake=bet.limit / 10)
    factors = [math.exp(bet.apply(quiet(rng)[:50]).sum_log1p) for _ in range(600)]
    assert np.mean(factors) <= 1 + 3 * np.std(factors) / math.sqrt(600)


def test_bets_are_made_before_their_window_begins(known: Baseline, quiet: Draw) -> None:
    state = run(begin("policy", known, Terms(0.02, BUDGET)), known, quiet, 7, 0)
    assert state.window == 6
    assert [bet.from_window for bet in state.bets] == [6, 7, 8]
    assert state.coming_bet is state.bet_for(8)
    held = state.bet_for(7)
    assert held is not None
    assert held.from_window == 7


def drifting(there: World, narrow: Features, known: Baseline, windows: int) -> EvidenceState:
    rng = np.random.default_rng(34)
    shifted = of_pool(narrow(there.shifted(there.draw(5_000, rng), 0.1)))
    return run(begin("policy", known, Terms(0.012, BUDGET)), known, shifted, windows, 0)


def test_a_sketch_without_the_bet_or_with_another_bets_nothing(
    there: World, narrow: Features, known: Baseline
) -> None:
    state = drifting(there, narrow, known, 5)
    assert state.log_k > 0
    phi = narrow(there.shifted(there.draw(N, np.random.default_rng(1)), 0.1))
    bet = state.bet_for(5)
    assert bet is not None
    won = step(state, summed(narrow.digest, phi, 5, [bet]), known).log_k
    assert won > state.log_k
    for other in (None, replace(bet, stake=bet.stake / 2), replace(bet, key="another")):
        after = step(state, summed(narrow.digest, phi, 5, [other]), known)
        assert (after.log_k, after.window) == (state.log_k, 5)


def test_sums_that_no_bet_makes_are_refused(
    there: World, narrow: Features, known: Baseline
) -> None:
    state = drifting(there, narrow, known, 5)
    bet = state.bet_for(5)
    assert bet is not None
    phi = narrow(there.draw(N, np.random.default_rng(1)))
    honest = summed(narrow.digest, phi, 5, [bet])
    sums = honest.bet("policy", bet.digest)
    for torn in (
        replace(sums, n=N + 1),
        replace(sums, sum_h=10.0 * N),
        replace(sums, sum_h2=-1.0),
        replace(sums, sum_log1p=sums.sum_log1p + 50),
        BetSums(0, 0.0, 0.0, 0.3),
    ):
        sketch = replace(honest, bets={("policy", bet.digest): torn})
        with pytest.raises(SketchError, match="bet policy"):
            step(state, sketch, known)


def test_evidence_survives_a_restart(there: World, narrow: Features, known: Baseline) -> None:
    state = drifting(there, narrow, known, 5)
    record = json.loads(json.dumps(evidence_record.to_wire(state, narrow.digest)))
    assert len(json.dumps(record)) < 64 * 1024
    read = evidence_record.from_wire(record)
    phi = narrow(there.shifted(there.draw(N, np.random.default_rng(1)), 0.1))
    sketch = summed(narrow.digest, phi, 5, [state.bet_for(5)])
    one, other = step(state, sketch, known), step(read, sketch, known)
    assert other.log_k == one.log_k > state.log_k
    assert other.coming_bet is not None
    assert one.coming_bet is not None
    assert other.coming_bet.digest == one.coming_bet.digest
    for field in ("terms", "bets", "logK", "baselineDigest"):
        with pytest.raises(DriftError, match=field):
            evidence_record.from_wire({k: v for k, v in record.items() if k != field})


def test_a_window_does_not_count_twice(there: World, narrow: Features, known: Baseline) -> None:
    state = drifting(there, narrow, known, 5)
    phi = narrow(there.draw(N, np.random.default_rng(1)))
    assert step(state, summed(narrow.digest, phi, 4), known) is state
    later = step(state, summed(narrow.digest, phi, 9), known)
    assert (later.window, later.windows) == (9, 6)


def test_a_window_of_no_embedding_changes_no_evidence(
    there: World, narrow: Features, known: Baseline
) -> None:
    state = drifting(there, narrow, known, 5)
    after = step(state, empty(narrow.digest, 256, 1, Span(5, 300)), known)
    assert (after.log_k, after.window) == (state.log_k, 5)
    np.testing.assert_array_equal(after.excess, state.excess)


def test_another_baseline_begins_anew(there: World, narrow: Features, known: Baseline) -> None:
    state = drifting(there, narrow, known, 12)
    assert state.alarm
    other = replace(known, n=known.n + 1)
    phi = narrow(there.draw(N, np.random.default_rng(1)))
    after = step(state, summed(narrow.digest, phi, 12, [state.bet_for(12)]), other)
    assert (after.alarm, after.log_k, after.windows) == (False, 0.0, 1)
    assert after.baseline_digest == other.digest


def test_a_sketch_of_other_features_is_refused(known: Baseline) -> None:
    state = begin("policy", known, Terms(0.02, BUDGET))
    with pytest.raises(MismatchError, match="sha256:other"):
        step(state, empty("sha256:other", 256, 1, Span(0, 300)), known)
