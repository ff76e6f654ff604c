"""Evidence over time that live traffic is further from its baseline than the tolerance.

A betting e-detector (Shin, Ramdas & Rinaldo, arXiv 2203.03532, with payoffs along an MMD witness as
in Shekhar & Ramdas, arXiv 2112.09162). Each window multiplies K by the product of 1 + lambda h over
its embeddings (`bet`), where w and lambda come from earlier windows. While the mean embedding of
each window, whatever its mix is, is within epsilon of mu_r, that factor is worth at most 1 in the
mean. So:

- Detector: K = max(1, K) * factor is at most the Shiryaev-Roberts sum of e-processes begun at every
  window, whose mean after t windows is at most t; so the mean number of windows to K >= A is at
  least A.
- Finite: K = K * factor is a supermartingale, and P(K ever reaches 1/alpha) <= alpha (Ville).

Neither needs windows to be independent or of one size. epsilon must be above 0: the baseline is
itself a sample, so the distance to it is never 0, and any bet would win in the end. Nothing here is
a U-statistic: the payoff is linear in the mean embedding, so there is no degenerate case to treat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.errors import DriftError, SketchError
from lockstep_core.drift.sketch import BetSums, Sketch, same_kind
from lockstep_core.drift.vectors import Float64

# What a window keeps of its weight with each that comes after it. Many windows tell a direction
# among 1,024 from noise; a payoff is one number, and few tell it.
DIRECTION_DECAY = 0.85
PAYOFF_DECAY = 0.5
# float32 rounding of a witness must not make it longer than 1.
_SHORTER = 1 - 1e-6


class Form(StrEnum):
    """`DETECTOR` watches for ever: with threshold A there are A windows or more to a false alarm,
    in the mean. `FINITE` watches one run: with threshold 1/alpha it has a false alarm with at most
    alpha."""

    DETECTOR = "Detector"
    FINITE = "Finite"


@dataclass(frozen=True)
class Terms:
    """`epsilon`: the tolerance, an MMD. `threshold`: A or 1/alpha. `lead`: the number of windows
    from a closed one to the first that its bet holds for: pods get it while the next one runs, so
    2; and 1 where it is there in no time.

    Raises DriftError for an `epsilon` that is not above 0, a `threshold` that is not above 1, and a
    `lead` below 1.
    """

    epsilon: float
    threshold: float
    form: Form = Form.DETECTOR
    lead: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 2:
            raise DriftError(
                f"tolerance {self.epsilon} is not above 0 and below 2: the baseline is a sample, so"
                " live traffic is never at distance 0, and a tolerance of 0 alarms in the end"
                " whatever comes; give the baseline's own, or more"
            )
        if not 1 < self.threshold < math.inf:
            raise DriftError(
                f"threshold {self.threshold} is not above 1 and finite; give the windows to one"
                " false alarm, or 1/alpha"
            )
        if self.lead < 1:
            raise DriftError(f"lead {self.lead} is below 1: a bet is made before its window begins")


@dataclass(frozen=True, eq=False)
class EvidenceState:
    """What is remembered between windows (`records` has its JSON).

    `window`: the last that was counted, `windows` how many. `excess` [D]: sum of n (mu_w - mu_r),
    `weight`: of n, both with less of what is longer ago. `payoff`: of n times the mean payoff of a
    window along the direction before it, `payoff_weight`: of its n. `second`: of h^2 of bets, and
    `second_weight` of their n. `bets`: those that were given, the oldest first. `alarm_window`: the
    first at which the threshold was reached.
    """

    key: str
    role: str
    baseline_digest: str
    terms: Terms
    excess: Float64
    weight: float = 0.0
    payoff: float = 0.0
    payoff_weight: float = 0.0
    second: float = 0.0
    second_weight: float = 0.0
    log_k: float = 0.0
    window: int | None = None
    windows: int = 0
    bets: tuple[Bet, ...] = ()
    alarm_window: int | None = None

    def __post_init__(self) -> None:
        rounded = np.asarray(self.excess, dtype=np.float32).astype(np.float64)
        object.__setattr__(self, "excess", rounded)

    @property
    def alarm(self) -> bool:
        """Whether the threshold was reached, now or before. It stays until evidence begins anew."""
        return self.alarm_window is not None

    @property
    def log10_k(self) -> float:
        return self.log_k / math.log(10)

    @property
    def log10_threshold(self) -> float:
        return math.log10(self.terms.threshold)

    @property
    def coming_bet(self) -> Bet | None:
        """What pods are to be told: the newest bet."""
        return self.bets[-1] if self.bets else None

    def bet_for(self, window: int) -> Bet | None:
        """The bet that counts in a window: the newest of those that hold by then."""
        held = [bet for bet in self.bets if bet.from_window <= window]
        return held[-1] if held else None


def begin(key: str, baseline: Baseline, terms: Terms) -> EvidenceState:
    """No evidence yet. `key` tells bets of several watchers apart: it is as the bets carry it."""
    return EvidenceState(key, baseline.role, baseline.digest, terms, np.zeros(len(baseline.mean)))


def step(state: EvidenceState, sketch: Sketch, baseline: Baseline) -> EvidenceState:
    """After one more closed window, all of whose sketches were merged.

    A window that is not after the last one changes nothing, so that one that is read again does not
    count twice. With another baseline than the state's, evidence begins anew. Raises MismatchError
    for a sketch of other features, and SketchError for bets that cannot have been.
    """
    same_kind(sketch.features_digest, baseline.features_digest)
    if state.baseline_digest != baseline.digest:
        state = begin(state.key, baseline, state.terms)
    window = sketch.span.first
    if state.window is not None and window <= state.window:
        return state
    log_k, sums = _count(state, sketch, window)
    known = _learn(state, sketch, baseline, sums)
    reached = log_k >= math.log(state.terms.threshold)
    bets = tuple(bet for bet in (*state.bets, _next_bet(known, baseline, window)) if bet)
    return replace(
        known,
        log_k=log_k,
        window=window,
        windows=state.windows + 1,
        bets=bets[-(state.terms.lead + 1) :],
        alarm_window=window if reached and not state.alarm else state.alarm_window,
    )


def _count(state: EvidenceState, sketch: Sketch, window: int) -> tuple[float, BetSums]:
    """log K after the window, and what its bet won. A sketch without the bet bets nothing."""
    log_k = max(0.0, state.log_k) if state.terms.form is Form.DETECTOR else state.log_k
    bet = state.bet_for(window)
    if bet is None:
        return log_k, BetSums()
    sums = sketch.bet(state.key, bet.digest)
    _check(sums, bet, sketch.n)
    return log_k + sums.sum_log1p, sums


def _check(sums: BetSums, bet: Bet, n: int) -> None:
    """log(1 + x) <= x, and no h is above its bound: what breaks these was not made by the rule."""
    slack = 1e-6 * (1 + sums.n)
    if (
        not 0 <= sums.n <= n
        or abs(sums.sum_h) > sums.n * bet.bound + slack
        or not 0 <= sums.sum_h2 <= sums.n * bet.bound**2 + slack
        or sums.sum_log1p > bet.stake * sums.sum_h + slack
        or sums.sum_log1p < sums.n * math.log1p(-bet.stake * bet.bound) - slack
    ):
        raise SketchError(
            f"bet {bet.key}: sums {sums} of {n} embeddings cannot be those of its stake"
            f" {bet.stake}; leave its sketch out"
        )


def _learn(
    state: EvidenceState, sketch: Sketch, baseline: Baseline, sums: BetSums
) -> EvidenceState:
    """The window's payoff along the direction of before it, which needs no bet of the pods, then
    the direction with it."""
    if not sketch.n:
        return state
    difference = sketch.sum_phi - sketch.n * baseline.mean
    length = float(np.linalg.norm(state.excess))
    payoff, weight = state.payoff, state.payoff_weight
    if length > 0:
        won = float(difference @ state.excess) / length - sketch.n * state.terms.epsilon
        payoff, weight = PAYOFF_DECAY * payoff + won, PAYOFF_DECAY * weight + sketch.n
    return replace(
        state,
        excess=DIRECTION_DECAY * state.excess + difference,
        weight=DIRECTION_DECAY * state.weight + sketch.n,
        payoff=payoff,
        payoff_weight=weight,
        second=PAYOFF_DECAY * state.second + sums.sum_h2,
        second_weight=PAYOFF_DECAY * state.second_weight + sums.n,
    )


def _next_bet(state: EvidenceState, baseline: Baseline, window: int) -> Bet | None:
    """Along the direction, with lambda = m / (v + m^2), which is near to what lets K grow most
    where payoffs have mean m and variance v, and 0 where they do not win."""
    length = float(np.linalg.norm(state.excess))
    if not length > 0:
        return None
    witness = (state.excess / length * _SHORTER).astype(np.float32)
    bet = Bet(
        state.key,
        state.role,
        baseline.features_digest,
        window + state.terms.lead,
        witness,
        float(baseline.mean @ witness.astype(np.float64)),
        state.terms.epsilon,
        0.0,
    )
    mean = state.payoff / state.payoff_weight if state.payoff_weight else 0.0
    if mean <= 0:
        return bet
    square = baseline.lambda1 + mean**2
    if state.second_weight:
        square = max(state.second / state.second_weight, mean**2, 1e-9)
    return replace(bet, stake=min(mean / square, bet.limit))
