"""Analysis: the live gates of a step, measured side by side until they decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gate_rows import QUERY, REPLAY, SCRAPE, SCRAPE_BESIDE, GatePhase, Reading
from lockstep_operator.api.gates import GATES
from lockstep_operator.api.objects import Release
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.api.traffic_records import StepRecord, Watch
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.gates.judges import JUDGES
from lockstep_operator.decide.gates.live import GateCheck, Judge, Look
from lockstep_operator.decide.gates.pod_metrics import scraped, scraped_beside
from lockstep_operator.decide.gates.queries import queried
from lockstep_operator.decide.gates.replays import replayed

READINGS: dict[Reading, Callable[[GateCheck, Judge], Look]] = {
    REPLAY: replayed,
    SCRAPE: scraped,
    SCRAPE_BESIDE: scraped_beside,
    QUERY: queried,
}


@dataclass(frozen=True)
class Analysis:
    """`verdict` is Pass, Fail or Inconclusive once the gates have decided, None while they are
    measured; `verdicts` are those of the gates that have.

    `message` holds the lines that decided; until then why a gate cannot be measured, mostly
    nothing. It stays the same from look to look: each change of it would be a write.
    """

    verdict: Verdict | None
    verdicts: list[GateVerdict]
    message: str


def analyse(
    context: ReconcileContext, release: Release, names: Sequence[str], record: StepRecord | Watch
) -> Analysis:
    """Judges the gates of the analysis that `record` began, as far as they are measured.

    One failed gate ends it at once. Otherwise it ends when all gates have settled, so that a gate
    that does not decide hides no failure of another. A dry run is waited for, and never counts.
    """
    looks = {name: _look(context, release, name, record) for name in names}
    verdicts = [look.settled for look in looks.values() if look.settled is not None]
    counted = [verdict for verdict in verdicts if not verdict.dry_run]
    failed = [verdict for verdict in counted if verdict.verdict == Verdict.FAIL]
    if failed:
        return Analysis(Verdict.FAIL, verdicts, _lines(failed))
    if any(look.settled is None for look in looks.values()):
        return Analysis(None, verdicts, _troubles(looks))
    undecided = [verdict for verdict in counted if verdict.verdict != Verdict.PASS]
    if undecided:
        return Analysis(Verdict.INCONCLUSIVE, verdicts, _lines(undecided))
    return Analysis(Verdict.PASS, verdicts, _lines(verdicts))


def _look(
    context: ReconcileContext, release: Release, name: str, record: StepRecord | Watch
) -> Look:
    gate = next((g for g in context.model.spec.rollout.gates if g.name == name), None)
    if gate is None or gate.phase is not GatePhase.LIVE:
        line = f"no live gate {name} in `spec.rollout.gates`"
        return Look(GateVerdict(name=name, verdict=Verdict.ERROR, line=line))
    check = GateCheck(context, release, gate, record.analysis, record.started_at)
    return READINGS[GATES[gate.type].reading](check, JUDGES[gate.type])


def _lines(verdicts: Sequence[GateVerdict]) -> str:
    return "; ".join(f"{verdict.name}: {verdict.line}" for verdict in verdicts)


def _troubles(looks: dict[str, Look]) -> str:
    return "; ".join(
        f"{name}: {look.problem}"
        for name, look in looks.items()
        if look.settled is None and look.problem
    )
