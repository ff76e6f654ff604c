"""Gates: what was measured against the bounds of the spec, one readable line each.

A program reports statistics, and only here they meet a bound. The bounds are read from the live
spec until a release is judged, so a person who lowers a bound need not train again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

from lockstep_core.protocol.result import EvaluationFacts, RecallFacts, SampleStatistics
from lockstep_core.quality.verdicts import Judgement, Verdict, Why, combine, judge_at_least
from lockstep_operator.api.gates import Gate, GateType
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.lines import bound_text, interval_text

NO_GATES = "none"


def judge(
    gates: Sequence[Gate], facts: EvaluationFacts, known: Sequence[GateVerdict], now: str
) -> list[GateVerdict]:
    """A verdict per gate, in the spec's order. One that says what it said keeps its time."""
    verdicts = [_GATES[gate.type](gate, facts) for gate in gates] or [_no_gates(facts)]
    before = {verdict.name: verdict for verdict in known}
    return [_dated(verdict, before.get(verdict.name), now) for verdict in verdicts]


def overall(verdicts: Sequence[GateVerdict]) -> Verdict:
    """The verdict of all gates together; without any gate a release passes."""
    return combine(Verdict(verdict.verdict) for verdict in verdicts)


def summary(verdicts: Sequence[GateVerdict]) -> str:
    """Gates passed of all, as `1/1`; `0/0` without gates."""
    real = [verdict for verdict in verdicts if verdict.name != NO_GATES]
    passed = sum(verdict.verdict == Verdict.PASS for verdict in real)
    return f"{passed}/{len(real)}"


def _recall(gate: Gate, facts: EvaluationFacts) -> GateVerdict:
    measured = next((found for found in facts.recall if found.k == gate.neighbours), None)
    if measured is None:
        line = (
            f"recall@{gate.neighbours} was not measured: the gate was set after the evaluation ran"
        )
        return GateVerdict(name=gate.name, verdict=Verdict.ERROR, line=line)
    parts = _recall_parts(gate, measured)
    verdict = combine(judgement for judgement, _ in parts)
    samples = measured.candidate.n
    line = "; ".join([text for _, text in parts] + [f"n={samples}"])
    if verdict is Verdict.FAIL:
        line += f"; train better, or lower gate {gate.name} in `spec.rollout.gates`"
    elif any(judgement.reason in (Why.TOO_FEW_SAMPLES, Why.NO_DATA) for judgement, _ in parts):
        line += f" of {gate.samples_needed} needed (`minSamples`): hold out more classes"
    elif verdict is Verdict.INCONCLUSIVE:
        line += f": {_needed([judgement for judgement, _ in parts])}; hold out more classes"
    return GateVerdict(
        name=gate.name,
        verdict=verdict,
        line=line,
        value=f"{measured.candidate.mean:.3f}" if samples else None,
        bound=gate.min or gate.min_gain_over_baseline,
        samples=samples,
    )


def _recall_parts(gate: Gate, measured: RecallFacts) -> list[tuple[Judgement, str]]:
    parts = []
    if gate.min is not None:
        judgement = _judge(gate, measured.candidate, gate.min, bounded01=True)
        text = (
            f"recall@{gate.neighbours} {bound_text(judgement)} ({interval_text(judgement, gate)})"
        )
        parts.append((judgement, text))
    if gate.min_gain_over_baseline is not None:
        gain = measured.gain_over_baseline
        judgement = _judge(gate, gain, gate.min_gain_over_baseline, bounded01=False)
        said = bound_text(judgement, signed=True)
        text = f"gain over raw inputs {said} ({interval_text(judgement, gate, signed=True)})"
        parts.append((judgement, text))
    return parts


def _needed(judgements: Sequence[Judgement]) -> str:
    """How many queries would decide, were the value what it seems: an interval shrinks as
    1/sqrt(n). A value at or below its bound would have to be another one to pass."""
    open_ones = [found for found in judgements if found.verdict is Verdict.INCONCLUSIVE]
    if any(found.value is None or found.value <= found.bound for found in open_ones):
        return "too few queries to show that it fails"
    shares = [(f.value - f.lower) / (f.value - f.bound) for f in open_ones if f.value is not None]
    return f"about {ceil(max(open_ones, key=lambda f: f.n).n * max(shares) ** 2):,} would decide"


def _judge(gate: Gate, stats: SampleStatistics, bound: str, *, bounded01: bool) -> Judgement:
    return judge_at_least(
        stats, float(bound), float(gate.one_sided), gate.samples_needed, bounded01=bounded01
    )


def _no_gates(facts: EvaluationFacts) -> GateVerdict:
    measured = "; ".join(
        f"recall@{found.k} {found.candidate.mean:.3f} (n={found.candidate.n})"
        for found in facts.recall
    )
    line = f"no gates in `spec.rollout.gates`: passed unchecked; {measured or 'nothing measured'}"
    return GateVerdict(name=NO_GATES, verdict=Verdict.PASS, line=line)


def _dated(verdict: GateVerdict, before: GateVerdict | None, now: str) -> GateVerdict:
    if before is not None and before.model_copy(update={"observed_at": None}) == verdict:
        return before
    return verdict.model_copy(update={"observed_at": now})


_GATES: dict[GateType, Callable[[Gate, EvaluationFacts], GateVerdict]] = {
    GateType.RECALL: _recall,
}
