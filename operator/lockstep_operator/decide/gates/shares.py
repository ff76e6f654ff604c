"""Lines about a share of the requests: `1.2% of 1,204 requests …, 5% allowed (95% upper 1.8%)`."""

from __future__ import annotations

from lockstep_core.quality.verdicts import Judgement, Verdict, Why
from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.lines import needed


def percent(share: float) -> str:
    """Three digits: `1.2%`, `0.0833%`, `100%`."""
    return f"{share * 100:.3g}%"


def sides(judgement: Judgement, confidence: float) -> str:
    """The side of the interval that decided, or both sides when none did."""
    if judgement.verdict is Verdict.PASS:
        return f"{confidence * 100:g}% upper {percent(judgement.upper)}"
    if judgement.verdict is Verdict.FAIL:
        return f"{confidence * 100:g}% lower {percent(judgement.lower)}"
    low, high = percent(judgement.lower), percent(judgement.upper)
    return f"{confidence * 100:g}% from {low} to {high}"


def lacking(gate: Gate, judgement: Judgement) -> str:
    """What an open judgement lacks."""
    if judgement.reason in (Why.NO_DATA, Why.TOO_FEW_SAMPLES):
        return f" of {gate.samples_needed} needed (`minSamples`): send it more traffic"
    wanted = needed(judgement, at_most=True)
    if wanted is None:
        return ": too few requests to show that it fails"
    return f": about {wanted:,} would decide"
