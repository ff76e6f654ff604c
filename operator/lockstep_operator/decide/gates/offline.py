"""Offline gates: the facts of the evaluation against the bounds, once, in Evaluating."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.protocol.result import EvaluationFacts
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gate_rows import GatePhase
from lockstep_operator.api.gates import OFFLINE, Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.judges import JUDGES
from lockstep_operator.decide.gates.limits import as_shown, undecided
from lockstep_operator.decide.gates.verdicts import NO_GATES


def judge_offline(
    gates: Sequence[Gate],
    facts: EvaluationFacts,
    known: Sequence[GateVerdict],
    now: str,
    stable: str | None = None,
) -> list[GateVerdict]:
    """A verdict per gate that the evaluation decides, in the spec's order.

    `stable` is the short name of the release that serves, None when there is none. A verdict that
    did not change keeps its time.
    """
    verdicts = [
        _concluded(gate, JUDGES[gate.type](gate, facts, stable))
        for gate in gates
        if gate.phase is GatePhase.OFFLINE
    ] or [_no_gates(gates, facts)]
    before = {verdict.name: verdict for verdict in known}
    return [_dated(verdict, before.get(verdict.name), now) for verdict in verdicts]


def _concluded(gate: Gate, verdict: GateVerdict) -> GateVerdict:
    if verdict.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR):
        verdict = undecided(gate, verdict)
    return as_shown(gate, verdict)


def _no_gates(gates: Sequence[Gate], facts: EvaluationFacts) -> GateVerdict:
    measured = "; ".join(
        f"recall@{recall.k} {recall.candidate.mean:.3f} (n={recall.candidate.n})"
        for recall in facts.recall
    )
    which = f"gates of type {' and '.join(OFFLINE)}" if gates else "gates"
    line = f"no {which} in `spec.rollout.gates`: passed unchecked; {measured or 'nothing measured'}"
    return GateVerdict(name=NO_GATES, verdict=Verdict.PASS, line=line)


def _dated(verdict: GateVerdict, before: GateVerdict | None, now: str) -> GateVerdict:
    if before is not None and before.replace(observed_at=None) == verdict:
        return before
    return verdict.replace(observed_at=now)
