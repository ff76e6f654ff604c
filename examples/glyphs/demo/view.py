"""A release as it moves, on the terminal: its stages, and below them what the plugin shows."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from examples.glyphs.demo.cluster import MODEL, NAMESPACE
from lockstep_kubectl.api import Api, ApiError
from lockstep_kubectl.gather import Snapshot, Unknown, read
from lockstep_kubectl.tree import tree
from lockstep_kubectl.view import view_of

STAGES = (
    "Training",
    "Evaluating",
    "Indexing",
    "Verifying",
    "Warming",
    "Canary",
    "Promoting",
    "Finalizing",
)


@dataclass
class Timeline:
    """When each stage was first seen, in seconds since the start."""

    started: float
    seen: dict[str, float] = field(default_factory=dict)

    def observe(self, stage: str, now: float) -> bool:
        """True when the stage is new."""
        if stage in self.seen:
            return False
        self.seen[stage] = now - self.started
        return True

    def seconds(self) -> dict[str, float]:
        """How long each stage took, as far as the next one was seen."""
        names = list(self.seen)
        return {
            name: round(self.seen[after] - self.seen[name], 1) for name, after in pairwise(names)
        }


def look(api: Api) -> Snapshot | None:
    """One look at the model; None while it is not there, or the API server does not answer."""
    try:
        found = read(api, NAMESPACE, MODEL)
    except (ApiError, Unknown):
        return None
    return found[0]


def status_of(snapshot: Snapshot) -> dict[str, Any]:
    """The model's status."""
    return snapshot.model.get("status") or {}


def stage_of(snapshot: Snapshot) -> str:
    """Stage of the candidate, or of the release that serves when nothing is judged."""
    pointer = status_of(snapshot).get("candidate") or status_of(snapshot).get("stable") or {}
    return str(pointer.get("stage") or "Pending")


def render(snapshot: Snapshot, timeline: Timeline) -> RenderableType:
    """The whole picture of one moment."""
    return Group(_stages(timeline, stage_of(snapshot)), tree(view_of(snapshot), datetime.now(UTC)))


def _stages(timeline: Timeline, current: str) -> Text:
    durations, line = timeline.seconds(), Text()
    for stage in STAGES:
        if stage == "Canary" and stage not in timeline.seen:
            continue  # a first release takes no steps
        if stage == current:
            line.append(f"▶ {stage}  ", "bold cyan")
        elif stage in durations:
            line.append("✔ ", "green").append(f"{stage} {durations[stage]:.0f} s  ")
        else:
            line.append(f"· {stage}  ", "dim")
    return line


class ReleaseFailed(Exception):
    """The release ended otherwise than serving; the message is the model's own."""


def _ended(snapshot: Snapshot) -> bool:
    status = status_of(snapshot)
    if status.get("observedGeneration") != snapshot.model["metadata"].get("generation"):
        return False
    if status.get("phase") == "Degraded":
        raise ReleaseFailed(status.get("message") or "the model is Degraded")
    return status.get("phase") == "Healthy" and stage_of(snapshot) == "Serving"


def _show(snapshot: Snapshot, timeline: Timeline, console: Console, live: Live | None) -> None:
    """In place on a terminal; in a pipe a line for each stage that is new."""
    stage = stage_of(snapshot)
    is_new = timeline.observe(stage, time.monotonic())
    if live is not None:
        live.update(render(snapshot, timeline))
    elif is_new:
        line = f"{timeline.seen[stage]:6.1f} s  {stage:11}"
        console.print(line, status_of(snapshot).get("message") or "", markup=False)


def watch(api: Api, *, deadline_seconds: float = 1800.0) -> Timeline:
    """Shows the newest release until it serves. Raises `ReleaseFailed`, or `TimeoutError`."""
    console = Console()
    timeline = Timeline(time.monotonic())
    live = Live(console=console, refresh_per_second=4) if sys.stdout.isatty() else None
    if live:
        live.start()
    try:
        while time.monotonic() - timeline.started < deadline_seconds:
            snapshot = look(api)
            if snapshot is not None:
                _show(snapshot, timeline, console, live)
                if _ended(snapshot):
                    return timeline
            time.sleep(0.5)
    finally:
        if live:
            live.stop()
    raise TimeoutError(f"not Healthy after {deadline_seconds:.0f} s: kubectl describe em {MODEL}")
