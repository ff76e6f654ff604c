"""Lines about a share of the requests: `1.2% of 1,204 requests …, 5% allowed (95% upper 1.8%)`."""

from __future__ import annotations

from lockstep_core.quality.verdicts import Judgement, Verdict, Why, judge_share_at_most
from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.gates.limits import confidence_of_a_look, looks
from lockstep_operator.decide.vocabulary.formatting import needed


def percent(share: float) -> str:
    """Three digits: `1.2%`, `0.0833%`, `100%`."""
    return f"{share * 100:.3g}%"


def judge_share(gate: Gate, events: int, n: int, allowed: float) -> Judgement:
    """`events` of `n` requests against the share that is allowed, at one of several looks."""
    confidence = confidence_of_a_look(gate)
    return judge_share_at_most(events, n, allowed, confidence, gate.samples_needed)


def sides(gate: Gate, judgement: Judgement) -> str:
    """The side of the interval that decided, or both sides when none did."""
    number = looks(gate)
    level = f"{float(gate.one_sided) * 100:g}%"
    if number > 1:
        level += f" over {number} looks:"
    if judgement.verdict is Verdict.PASS:
        return f"{level} upper {percent(judgement.upper)}"
    if judgement.verdict is Verdict.FAIL:
        return f"{level} lower {percent(judgement.lower)}"
    return f"{level} from {percent(judgement.lower)} to {percent(judgement.upper)}"


def lacking(gate: Gate, judgement: Judgement) -> str:
    """What an open judgement lacks."""
    if judgement.reason in (Why.NO_DATA, Why.TOO_FEW_SAMPLES):
        return f" of {gate.samples_needed} needed (`minSamples`): send it more traffic"
    wanted = needed(judgement, at_most=True)
    if wanted is None:
        return ": too few requests to show that it fails"
    return f": about {wanted:,} would decide"
