"""`Recall`: relevance recall@k on the held-out set, against bounds and against stable, paired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist

from lockstep_core.protocol.result import EvaluationFacts, RecallFacts, SampleStatistics
from lockstep_core.quality.verdicts import Judgement, Verdict, Why, combine, judge_at_least
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.verdicts import NOTHING_TO_COMPARE
from lockstep_operator.decide.vocabulary.formatting import (
    bound_text,
    interval_text,
    needed,
    regression_text,
)

# Chance that as many queries as the advice names do decide, if the values are those measured.
POWER = 0.8


@dataclass(frozen=True)
class _Part:
    """One bound of the gate; `needs` queries would decide it, None when no number would."""

    verdict: Verdict
    text: str
    reason: Why | None = None
    needs: int | None = None


def judge(gate: Gate, facts: EvaluationFacts, stable: str | None) -> GateVerdict:
    """The verdict of all bounds of the gate together.

    Without a stable release there is nothing to compare with, and the other bounds decide; a
    stable release that was not measured makes the gate an Error.
    """
    measured = next((recall for recall in facts.recall if recall.k == gate.neighbours), None)
    if measured is None:
        line = (
            f"recall@{gate.neighbours} was not measured: the gate was set after the evaluation ran"
        )
        return GateVerdict(name=gate.name, verdict=Verdict.ERROR, line=line)
    parts = _parts(gate, measured, stable)
    judged = [part for part in parts if part.reason is not None or part.verdict is Verdict.ERROR]
    # Compared with nothing, and no other bound: there is nothing that it could fail.
    verdict = combine(part.verdict for part in judged) if judged else Verdict.PASS
    samples = measured.candidate.n
    line = "; ".join([*(part.text for part in parts), f"n={samples}"])
    return GateVerdict(
        name=gate.name,
        verdict=verdict,
        line=line + _advice(gate, verdict, judged),
        value=f"{measured.candidate.mean:.3f}" if samples else None,
        bound=gate.min or gate.min_gain_over_baseline or gate.max_regression,
        samples=samples,
    )


def _parts(gate: Gate, measured: RecallFacts, stable: str | None) -> list[_Part]:
    parts = []
    name, confidence = f"recall@{gate.neighbours}", float(gate.one_sided)
    if gate.min is not None:
        judged = _judge(gate, measured.candidate, gate.min, bounded01=True)
        text = f"{name} {bound_text(judged)} ({interval_text(judged, confidence)})"
        parts.append(_Part(judged.verdict, text, judged.reason, needed(judged)))
    elif gate.max_regression is not None and measured.candidate.n:
        parts.append(_Part(Verdict.PASS, f"{name} {measured.candidate.mean:.3f}"))
    if gate.min_gain_over_baseline is not None:
        gain = measured.gain_over_baseline
        judged = _judge(gate, gain, gate.min_gain_over_baseline, bounded01=False)
        interval = interval_text(judged, confidence, signed=True)
        text = f"gain over raw inputs {bound_text(judged, signed=True)} ({interval})"
        parts.append(_Part(judged.verdict, text, judged.reason, needed(judged)))
    if gate.max_regression is not None:
        parts.append(_regression(gate, measured, gate.max_regression, stable))
    return parts


def _regression(gate: Gate, measured: RecallFacts, allowed: str, stable: str | None) -> _Part:
    """Non-inferiority: the lower bound of the paired difference must reach -maxRegression."""
    difference = measured.gain_over_stable
    if difference is None or measured.stable is None:
        if stable is None:
            return _Part(Verdict.PASS, NOTHING_TO_COMPARE)
        text = (
            f"stable {stable} was not measured, so `maxRegression` cannot be judged: its model"
            " takes other inputs, or lies in another store"
        )
        return _Part(Verdict.ERROR, text)
    judged = _judge(gate, difference, f"-{allowed}", bounded01=False)
    name = stable or "the release before"
    text = regression_text(judged, name, measured.stable.mean, float(gate.one_sided))
    return _Part(judged.verdict, text, judged.reason, _paired_needed(gate, judged, difference))


def _paired_needed(gate: Gate, judged: Judgement, stats: SampleStatistics) -> int | None:
    """n = (z_a + z_b)^2 sd^2 / (distance to the margin)^2, for one-sided error a and power 1-b.

    Where (nearly) all differences are equal, the interval's floor is wider, and shrinks as 1/n.
    """
    distance = stats.mean - judged.bound
    if distance <= 0:
        return None
    z = NormalDist().inv_cdf(float(gate.one_sided)) + NormalDist().inv_cdf(POWER)
    by_spread = (z * stats.standard_deviation / distance) ** 2
    return ceil(max(by_spread, stats.n * (stats.mean - judged.lower) / distance))


def _advice(gate: Gate, verdict: Verdict, parts: Sequence[_Part]) -> str:
    if verdict is Verdict.FAIL:
        return f"; train better, or lower gate {gate.name} in `spec.rollout.gates`"
    if verdict is not Verdict.INCONCLUSIVE:
        return ""
    if any(part.reason in (Why.TOO_FEW_SAMPLES, Why.NO_DATA) for part in parts):
        return f" of {gate.samples_needed} needed (`minSamples`): hold out more classes"
    open_ones = [part.needs for part in parts if part.verdict is Verdict.INCONCLUSIVE]
    known = [needs for needs in open_ones if needs is not None]
    if len(known) < len(open_ones):
        return ": too few queries to show that it fails; hold out more classes"
    return f": about {max(known):,} would decide; hold out more classes"


def _judge(gate: Gate, stats: SampleStatistics, bound: str, *, bounded01: bool) -> Judgement:
    return judge_at_least(
        stats, float(bound), float(gate.one_sided), gate.samples_needed, bounded01=bounded01
    )
