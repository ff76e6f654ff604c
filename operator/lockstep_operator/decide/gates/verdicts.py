"""Verdicts of several gates, taken together."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.quality.verdicts import Verdict, combine
from lockstep_operator.api.status import GateVerdict

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
