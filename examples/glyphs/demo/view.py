"""A release as it moves, on the terminal: stages, bars of long work, metrics as they come."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from examples.glyphs.demo.cluster import MODEL, Api

STAGES = ("Training", "Evaluating", "Indexing", "Verifying", "Warming", "Promoting", "Finalizing")
ENDED = ("Serving", "Failed", "Superseded", "Retired", "Retained")


@dataclass
class Snapshot:
    """What the API server and the pods said at one moment."""

    model: dict[str, Any] | None
    release: dict[str, Any] | None
    progress: dict[str, Any] | None

    @property
    def status(self) -> dict[str, Any]:
        return (self.model or {}).get("status") or {}

    @property
    def stage(self) -> str:
        status = (self.release or {}).get("status") or {}
        return str(status.get("stage") or "Pending")


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


def _release_in_view(model: dict[str, Any] | None) -> str | None:
    """Full name of the candidate, or of the release that serves when nothing is judged."""
    status = (model or {}).get("status") or {}
    pointer = status.get("candidate") or status.get("stable") or {}
    name = pointer.get("release")
    return None if name is None else str(name)


def take_snapshot(api: Api) -> Snapshot:
    """One look at the model, its release in view and the pod that works for it."""
    model = api.own("embeddingmodels", MODEL)
    name = _release_in_view(model)
    if name is None:
        return Snapshot(model, None, None)
    selector = f"lockstep.dev/release={name},lockstep.dev/component in (train,evaluate,build)"
    pods = api.list("api/v1", "pods", selector.replace(" ", "%20"))
    running = [p for p in pods if p.get("status", {}).get("phase") == "Running"]
    progress = api.pod_progress(running[-1]["metadata"]["name"]) if running else None
    return Snapshot(model, api.own("embeddingreleases", name), progress)


def _row_of(stage: str, timeline: Timeline, current: str) -> tuple[str, str, str]:
    durations = timeline.seconds()
    if stage == current:
        return "[bold cyan]▶[/]", f"[bold]{stage}[/]", ""
    if stage in durations:
        return "[green]✓[/]", stage, f"{durations[stage]:.0f} s"
    return "[dim]·[/]", f"[dim]{stage}[/]", ""


def _progress_of(progress: dict[str, Any] | None) -> RenderableType:
    if not progress or not progress.get("total"):
        return Text("")
    metrics = "  ".join(f"{k} {v:.3f}" for k, v in list(progress.get("metrics", {}).items())[:3])
    line = Table.grid(padding=(0, 1))
    line.add_row(
        ProgressBar(total=progress["total"], completed=progress["done"], width=28),
        f"{progress['phase']} {progress['done']}/{progress['total']}",
        Text(metrics, style="dim"),
    )
    return line


def render(snapshot: Snapshot, timeline: Timeline) -> RenderableType:
    """The whole picture of one moment."""
    table = Table.grid(padding=(0, 2))
    for stage in STAGES:
        mark, name, seconds = _row_of(stage, timeline, snapshot.stage)
        detail = _progress_of(snapshot.progress) if stage == snapshot.stage else Text("")
        table.add_row(mark, name, seconds, detail)
    name = ((snapshot.release or {}).get("metadata") or {}).get("name", "(no release yet)")
    gates = [Text("  " + g["line"]) for g in snapshot.status.get("gates") or []]
    return Group(
        Text(f"EmbeddingModel {MODEL}: {snapshot.status.get('phase', 'Pending')}", style="bold"),
        Text(str(snapshot.status.get("message") or ""), style="italic"),
        Text(f"release {name}"),
        table,
        *gates,
    )


class ReleaseFailed(Exception):
    """The release ended otherwise than serving; the message is the model's own."""


def _ended(snapshot: Snapshot) -> bool:
    generation = (snapshot.model or {}).get("metadata", {}).get("generation")
    if snapshot.status.get("observedGeneration") != generation:
        return False
    if snapshot.status.get("phase") == "Degraded":
        raise ReleaseFailed(snapshot.status.get("message") or "the model is Degraded")
    return snapshot.status.get("phase") == "Healthy" and snapshot.stage == "Serving"


def watch(api: Api, *, deadline_seconds: float = 1800.0) -> Timeline:
    """Shows the newest release until it serves. Raises `ReleaseFailed`, or `TimeoutError`."""
    console = Console()
    timeline = Timeline(time.monotonic())
    live = Live(console=console, refresh_per_second=4) if sys.stdout.isatty() else None
    if live:
        live.start()
    try:
        while time.monotonic() - timeline.started < deadline_seconds:
            snapshot = take_snapshot(api)
            is_new = timeline.observe(snapshot.stage, time.monotonic())
            if live:
                live.update(render(snapshot, timeline))
            elif is_new:
                line = f"{timeline.seen[snapshot.stage]:6.1f} s  {snapshot.stage:11}"
                console.print(line, snapshot.status.get("message") or "", markup=False)
            if _ended(snapshot):
                return timeline
            time.sleep(0.5)
    finally:
        if live:
            live.stop()
    raise TimeoutError(f"not Healthy after {deadline_seconds:.0f} s: kubectl describe em {MODEL}")
