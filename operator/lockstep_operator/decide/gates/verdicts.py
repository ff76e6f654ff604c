"""Verdicts of several gates, taken together."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.quality.verdicts import Verdict, combine
from lockstep_operator.api.gate_rows import GatePhase
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict

_NOTHING = "no stable release to compare with"
NOTHING_TO_COMPARE = f"there was {_NOTHING}"
# As lines of before this version call the stable release of their time, and how they are shown.
_NAMELESS, _OF_THEN = "vs stable ", "vs the stable release of then "
# The name of the verdict on a release that no gate judges.
NO_GATES = "none"


def overall(verdicts: Sequence[GateVerdict]) -> Verdict:
    """The verdict of all gates together, dry runs apart; without any gate a release passes."""
    counted = [Verdict(verdict.verdict) for verdict in verdicts if not verdict.dry_run]
    return combine(counted) if counted else Verdict.PASS


def summary(verdicts: Sequence[GateVerdict]) -> str:
    """Gates passed of all, as `1/1`; `0/0` without gates. Dry runs are not counted."""
    real = [verdict for verdict in verdicts if verdict.name != NO_GATES and not verdict.dry_run]
    passed = sum(verdict.verdict == Verdict.PASS for verdict in real)
    return f"{passed}/{len(real)}"


def merged(known: Sequence[GateVerdict], judged: Sequence[GateVerdict]) -> list[GateVerdict]:
    """What was known, with the verdicts of gates that were judged anew in their places."""
    anew = {verdict.name: verdict for verdict in judged}
    kept = [anew.pop(verdict.name, verdict) for verdict in known]
    return [*kept, *anew.values()]


def inherited(known: Sequence[GateVerdict], gates: Sequence[Gate]) -> list[GateVerdict]:
    """The verdicts of a model that another release takes over: what was measured of it alone.

    Not how another release compared with it then, nor what its own pods did on live requests.
    """
    live = {gate.name for gate in gates if gate.phase is GatePhase.LIVE}
    return [
        verdict.replace(line=_without_comparison(verdict.line))
        for verdict in known
        if verdict.name not in live
    ]


def of_then(known: Sequence[GateVerdict]) -> list[GateVerdict]:
    """The verdicts of a release that is stable itself by now: `stable` was another one then."""
    return [one.replace(line=one.line.replace(_NAMELESS, _OF_THEN)) for one in known]


def _without_comparison(line: str) -> str:
    parts = line.split("; ")
    kept = [p for p in parts if not p.startswith("vs ") and not p.endswith(_NOTHING)]
    return "; ".join(kept)
