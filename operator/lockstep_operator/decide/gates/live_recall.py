"""`LiveRecall`: relevance recall@k of held-out queries, through the candidate's own servers."""

from __future__ import annotations

from lockstep_core.protocol.result import ReplayFacts
from lockstep_core.quality.verdicts import Judgement, Verdict, Why, judge_at_least
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.vocabulary.formatting import bound_text, interval_text, needed


def judge(gate: Gate, facts: ReplayFacts) -> GateVerdict:
    """recall@k of the queries that were sent against `min`."""
    assert gate.min is not None
    confidence = float(gate.one_sided)
    judgement = judge_at_least(facts.recall, float(gate.min), confidence, gate.samples_needed)
    line = (
        f"live recall@{gate.neighbours} of {facts.index} {bound_text(judgement)}"
        f" ({interval_text(judgement, confidence)}); n={judgement.n}"
        f"{_advice(gate, judgement, facts)}"
    )
    return GateVerdict(
        name=gate.name,
        verdict=judgement.verdict,
        line=line,
        value=None if judgement.value is None else f"{judgement.value:.3f}",
        bound=gate.min,
        samples=judgement.n,
    )


def _advice(gate: Gate, judgement: Judgement, facts: ReplayFacts) -> str:
    if judgement.verdict is Verdict.FAIL:
        return f"; compare it with the offline recall, or lower `min` of gate {gate.name}"
    if judgement.verdict is Verdict.PASS:
        return ""
    if judgement.reason in (Why.NO_DATA, Why.TOO_FEW_SAMPLES):
        unmeasured = facts.sent - facts.recall.n
        why = (
            f"; {unmeasured} queries have no item of their class in the index, or more copies of"
            " themselves there than a search returns"
        )
        return f" of {gate.samples_needed} needed (`minSamples`){why if unmeasured else ''}"
    enough = needed(judgement)
    if enough is None:
        return ": too few queries to show that it fails"
    return f": about {enough:,} would decide (`maxSamples`)"
