"""History and gates as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lockstep_core.protocol.verbs import short_name
from lockstep_kubectl.api import Object
from lockstep_kubectl.tree import ago, gate_line
from lockstep_kubectl.view import GateView, gates_of, shown_gates, time_of

OUTCOMES = {"Promoted": "green", "Failed": "red", "Aborted": "yellow", "RolledBack": "yellow"}


@dataclass(frozen=True)
class Past:
    """One release of the history. `stage` is None where its record is gone.

    `finished_at` is when it was promoted first, or ended without; `replaced_at`, of one that had
    served, when another took its place.
    """

    release: str
    stage: str | None
    outcome: str | None
    cause: str | None
    reason: str | None
    started_at: datetime | None
    finished_at: datetime | None
    replaced_at: datetime | None
    message: str


def history_of(model: Object, releases: Sequence[Object]) -> list[Past]:
    """Every known release, the newest first: the records, then what only the model still tells."""
    recorded = {
        entry["release"]: entry for entry in (model.get("status") or {}).get("history") or ()
    }
    past = []
    for release in reversed(releases):
        status, name = release.get("status") or {}, release["metadata"]["name"]
        entry = recorded.pop(name, {})
        promoted = status.get("firstPromotedAt") or status.get("promotedAt")
        past.append(
            Past(
                release=short_name(name),
                stage=status.get("stage"),
                outcome=status.get("outcome"),
                cause=release["spec"].get("cause"),
                reason=entry.get("reason"),
                started_at=time_of(status.get("startedAt")),
                finished_at=time_of(promoted or status.get("finishedAt")),
                replaced_at=time_of(status.get("finishedAt") if promoted else None),
                message=status.get("message") or "",
            )
        )
    past += [_from_entry(entry) for entry in recorded.values()]
    return past


def _from_entry(entry: Object) -> Past:
    return Past(
        release=short_name(entry["release"]),
        stage=None,
        outcome=entry["outcome"],
        cause=None,
        reason=entry["reason"],
        started_at=time_of(entry.get("startedAt")),
        finished_at=time_of(entry.get("finishedAt")),
        replaced_at=time_of(entry.get("replacedAt")),
        message="",
    )


def history_table(entries: Sequence[Past], now: datetime) -> RenderableType:
    """A row a release. `now` is for ages."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in (
        "RELEASE",
        "STAGE",
        "OUTCOME",
        "REASON",
        "MADE FOR",
        "STARTED",
        "TOOK",
        "REPLACED",
    ):
        table.add_column(title, no_wrap=True)
    for entry in entries:
        started, finished = entry.started_at, entry.finished_at
        reason = None if entry.reason in (entry.cause, entry.outcome) else entry.reason
        table.add_row(
            entry.release,
            entry.stage or "",
            Text(entry.outcome or "", style=OUTCOMES.get(entry.outcome or "", "")),
            reason or "",
            entry.cause or "",
            f"{ago(started, now)} ago" if started else "",
            ago(started, finished) if started and finished else "",
            f"{ago(entry.replaced_at, now)} ago" if entry.replaced_at else "",
        )
    return table


def gates_of_release(
    model: Object, releases: Sequence[Object], short: str | None
) -> list[GateView]:
    """The verdicts of a release; without a name those of the one that is judged, or failed last."""
    if short is None:
        return list(shown_gates(model.get("status") or {}, releases)[1])
    record = next((r for r in releases if f"r{r['spec']['number']}" == short), {})
    return list(gates_of(record.get("status") or {}))


def gate_lines(gates: Sequence[GateView]) -> RenderableType:
    """A line a gate."""
    return Group(*(gate_line(gate) for gate in gates))
