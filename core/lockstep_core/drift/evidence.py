"""Evidence over time that live traffic is further from its baseline than the tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.sketch import Sketch
from lockstep_core.drift.vectors import Float64


class Form(StrEnum):
    """`DETECTOR` watches for ever: threshold A means at most one false alarm in A windows in the
    mean. `FINITE` watches one canary: threshold 1/alpha means false alarms with at most alpha."""

    DETECTOR = "Detector"
    FINITE = "Finite"


@dataclass(frozen=True)
class Terms:
    """`epsilon`: the tolerance, MMD, above 0. `threshold`: A or 1/alpha. `lead`: windows from the
    last closed one to the first that a bet can hold for: pods get it while the next one runs."""

    epsilon: float
    threshold: float
    form: Form = Form.DETECTOR
    lead: int = 2


@dataclass(frozen=True, eq=False)
class EvidenceState:
    """Small and serialisable: `to_wire`, `from_wire`."""

    key: str
    baseline_digest: str
    terms: Terms
    log_k: float
    window: int | None
    bets: tuple[Bet, ...]
    direction: Float64

    @property
    def alarm(self) -> bool:
        raise NotImplementedError


def begin(key: str, baseline: Baseline, terms: Terms) -> EvidenceState:
    raise NotImplementedError


def step(state: EvidenceState, sketch: Sketch, baseline: Baseline) -> EvidenceState:
    """One closed window. A window that is not after the last one changes nothing."""
    raise NotImplementedError
