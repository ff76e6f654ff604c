"""Gates: what was measured against the bounds of the spec, one readable line each.

A program reports statistics, and only here they meet a bound. The bounds are read from the live
spec until a release is judged, so a person who lowers a bound need not train again. A new gate is
one module and one row: here when the evaluation measures it, in `decide.analysis` when it is live.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lockstep_core.protocol.result import EvaluationFacts
from lockstep_core.quality.verdicts import Verdict, combine
from lockstep_operator.api.gates import Gate, GateType
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.limits import as_told, undecided
from lockstep_operator.decide.gates.recall import judge_recall

NO_GATES = "none"

# `stable` is the short name of the release that serves, None when there is none.
Offline = Callable[[Gate, EvaluationFacts, str | None], GateVerdict]
_OFFLINE: dict[GateType, Offline] = {
    GateType.RECALL: judge_recall,
}


def judge(
    gates: Sequence[Gate],
    facts: EvaluationFacts,
    known: Sequence[GateVerdict],
    now: str,
    stable: str | None = None,
) -> list[GateVerdict]:
    """A verdict per gate that the evaluation decides, in the spec's order.

    `stable` is the short name of the release that serves. A verdict that says what it said keeps
    its time.
    """
    verdicts = [
        _concluded(gate, _OFFLINE[gate.type](gate, facts, stable))
        for gate in gates
        if gate.type in _OFFLINE
    ] or [_no_gates(gates, facts)]
    before = {verdict.name: verdict for verdict in known}
    return [_dated(verdict, before.get(verdict.name), now) for verdict in verdicts]


def overall(verdicts: Sequence[GateVerdict]) -> Verdict:
    """The verdict of all gates together, dry runs apart; without any gate a release passes."""
    counted = [Verdict(verdict.verdict) for verdict in verdicts if not verdict.dry_run]
    return combine(counted) if counted else Verdict.PASS


def summary(verdicts: Sequence[GateVerdict]) -> str:
    """Gates passed of all, as `1/1`; `0/0` without gates. Dry runs are not counted."""
    real = [verdict for verdict in verdicts if verdict.name != NO_GATES and not verdict.dry_run]
    passed = sum(verdict.verdict == Verdict.PASS for verdict in real)
    return f"{passed}/{len(real)}"


def merged(known: Sequence[GateVerdict], found: Sequence[GateVerdict]) -> list[GateVerdict]:
    """What was known, with the verdicts of gates that were judged anew in their places."""
    anew = {verdict.name: verdict for verdict in found}
    kept = [anew.pop(verdict.name, verdict) for verdict in known]
    return [*kept, *anew.values()]


def _concluded(gate: Gate, verdict: GateVerdict) -> GateVerdict:
    if verdict.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR):
        verdict = undecided(gate, verdict)
    return as_told(gate, verdict)


def _no_gates(gates: Sequence[Gate], facts: EvaluationFacts) -> GateVerdict:
    measured = "; ".join(
        f"recall@{found.k} {found.candidate.mean:.3f} (n={found.candidate.n})"
        for found in facts.recall
    )
    which = "gates of type Recall" if gates else "gates"
    line = f"no {which} in `spec.rollout.gates`: passed unchecked; {measured or 'nothing measured'}"
    return GateVerdict(name=NO_GATES, verdict=Verdict.PASS, line=line)


def _dated(verdict: GateVerdict, before: GateVerdict | None, now: str) -> GateVerdict:
    if before is not None and before.model_copy(update={"observed_at": None}) == verdict:
        return before
    return verdict.model_copy(update={"observed_at": now})
