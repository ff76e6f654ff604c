"""A release as it moves, on the terminal: stages, weight, who answers, and the model's own tree."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from examples.glyphs.demo import story
from examples.glyphs.demo.cluster import MODEL, look
from examples.glyphs.demo.story import Act
from examples.glyphs.demo.visits import Visitors, Window, picture
from lockstep_kubectl.api import Api
from lockstep_kubectl.gather import Snapshot
from lockstep_kubectl.tree import tree
from lockstep_kubectl.view import ModelView, view_of

LOOK_SECONDS = 0.5


@dataclass
class Timeline:
    """When each stage was first seen, in seconds since the start. A step of a canary is a stage."""

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

    def stage_seconds(self, stage: str) -> float | None:
        """Seconds in a stage, all steps of a canary together; None until it is over."""
        seconds = [s for name, s in self.seconds().items() if name.split()[0] == stage]
        return round(sum(seconds), 1) if seconds else None


def moment(act: Act, snapshot: Snapshot, view: ModelView) -> str:
    """The stage of the act's release; within a canary, `Canary 2/5 pause 5 s`."""
    stage = story.stage_of(act, snapshot.model, snapshot.releases)
    if stage != "Canary":
        return stage
    steps = next((release.steps for release in view.releases if release.role == "candidate"), ())
    under_way = next((step.text for step in steps if step.state == "Current"), "")
    return f"Canary {view.step or ''} {under_way}".rstrip()


def stages(act: Act, timeline: Timeline, current: str) -> Text:
    """`✓ Training 22 s  ▶ Evaluating  · Indexing`."""
    line, at = Text(), act.stages.index(current) if current in act.stages else -1
    for place, stage in enumerate(act.stages):
        seconds = timeline.stage_seconds(stage)
        if place == at:
            line.append(f"▶ {stage}", "bold cyan")
        elif place < at:
            line.append("✓ ", "green").append(
                stage if seconds is None else f"{stage} {seconds:.0f} s"
            )
        else:
            line.append(f"· {stage}", "dim")
        line.append("  ")
    line.rstrip()
    return line


def render(
    act: Act, view: ModelView, timeline: Timeline, stage: str, window: Window, now: datetime
) -> RenderableType:
    """The whole picture of one moment."""
    weights = [(r.weight, r.asked_weight) for r in view.releases if r.role == "candidate"]
    weight, asked = weights[0] if weights and stage != "Training" else (None, None)
    return Group(
        Text(act.title, style="bold"),
        stages(act, timeline, stage),
        Text(""),
        picture(window, weight, asked),
        tree(view, now),
    )


def line(timeline: Timeline, at: str, view: ModelView, window: Window) -> str:
    """A moment in one line, for a pipe."""
    text = f"{timeline.seen[at]:6.1f} s  {at:24} {view.message}"
    return f"{text}  [{window.latest.told()}]" if window.latest.total else text


class NotAsExpected(Exception):
    """The release ended otherwise than the demo tells; the message is the model's own."""


def watch(
    act: Act,
    api: Api,
    visitors: Visitors | None,
    console: Console,
    window: Window,
    beside: Callable[[], object] = lambda: None,
) -> Timeline:
    """Shows the act's release until it ends, and looks `beside` each time. Raises `NotAsExpected`,
    or `TimeoutError`."""
    timeline, deadline = Timeline(time.monotonic()), 1800.0
    live = Live(console=console, refresh_per_second=4) if sys.stdout.isatty() else None
    if live:
        live.start()
    try:
        while time.monotonic() - timeline.started < deadline:
            beside()
            snapshot = look(api)
            if snapshot is not None and _show(
                act, snapshot, timeline, visitors, window, live, console
            ):
                return timeline
            time.sleep(LOOK_SECONDS)
    finally:
        if live:
            live.stop()
    raise TimeoutError(f"no end after {deadline:.0f} s: kubectl describe em {MODEL} -n {MODEL}")


def _show(
    act: Act,
    snapshot: Snapshot,
    timeline: Timeline,
    visitors: Visitors | None,
    window: Window,
    live: Live | None,
    console: Console,
) -> bool:
    """Shows one look; whether it was the last one."""
    view, stage = view_of(snapshot), story.stage_of(act, snapshot.model, snapshot.releases)
    counts = visitors.counts() if visitors else None
    if counts is not None:
        window.add(time.monotonic(), counts)
    at = moment(act, snapshot, view)
    is_new = timeline.observe(at, time.monotonic())
    if live:
        live.update(render(act, view, timeline, stage, window, datetime.now(UTC)))
    elif is_new:
        console.print(line(timeline, at, view, window), markup=False, soft_wrap=True)
    if not story.is_over(act, snapshot.model, snapshot.releases):
        return False
    if act.is_bad == (stage == story.SERVES):
        raise NotAsExpected(view.message)
    return True
