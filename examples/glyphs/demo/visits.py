"""Who answers the visitors: their counts, as shares and as lines on the terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from examples.glyphs.demo.cluster import NAMESPACE, Cluster, get
from lockstep_core.protocol.verbs import short_name
from lockstep_kubectl.api import Api

MANIFESTS = Path(__file__).parents[1] / "manifests"
WINDOW_SECONDS = 3.0
BAR = 32


@dataclass(frozen=True)
class Counts:
    """Answers by release, as `glyphs-r1`, since the visitors came."""

    answers: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    mixed: int = 0
    last_failure: str = ""
    right: int = 0

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Counts:
        answers, last = dict(wire["answers"]), wire.get("lastFailure", "")
        return cls(answers, wire["failed"], wire["mixed"], last, wire.get("right", 0))

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    @property
    def is_clean(self) -> bool:
        return self.failed == 0 and self.mixed == 0

    def told(self) -> str:
        """`r1 1,204, r2 96; failed 0, mixed 0`."""
        by = ", ".join(f"{short_name(name)} {n:,}" for name, n in sorted(self.answers.items()))
        last = f" ({self.last_failure})" if self.failed else ""
        return f"{by or 'no answer yet'}; failed {self.failed}{last}, mixed {self.mixed}"


class Window:
    """The counts of the last seconds: who answers now."""

    def __init__(self, seconds: float = WINDOW_SECONDS) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, Counts]] = deque()

    @property
    def latest(self) -> Counts:
        return self._seen[-1][1] if self._seen else Counts()

    def add(self, now: float, counts: Counts) -> None:
        if counts.total < self.latest.total:
            self._seen.clear()  # The visitors began anew.
        self._seen.append((now, counts))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._seconds:
            self._seen.popleft()

    def shares(self) -> dict[str, float]:
        """Share of the answers within the window, by release; none while nothing came."""
        if not self._seen:
            return {}
        before = self._seen[0][1].answers if len(self._seen) > 1 else {}
        recent = {name: n - before.get(name, 0) for name, n in self.latest.answers.items()}
        total = sum(recent.values())
        return {name: n / total for name, n in recent.items()} if total else {}


class Visitors:
    """The pod of some visitors; its manifest has its name."""

    def __init__(self, cluster: Cluster, api: Api, pod: str = "visitors") -> None:
        self._cluster, self._api, self._pod = cluster, api, pod

    def come(self) -> None:
        """Starts the pod, and waits until it counts."""
        self._cluster.kubectl("apply", "-f", str(MANIFESTS / f"{self._pod}.yaml"))
        ready = ("--for=condition=Ready", "--timeout=2m", f"pod/{self._pod}")
        self._cluster.kubectl("wait", "-n", NAMESPACE, *ready)

    def go(self) -> None:
        """Takes the pod away."""
        gone = ("--ignore-not-found", "--wait=false")
        self._cluster.kubectl("delete", "pod", "-n", NAMESPACE, self._pod, *gone)

    def counts(self) -> Counts | None:
        """None while the pod does not answer."""
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        raw = get(self._api, f"{pods}/{self._pod}:9100/proxy/counts")
        return None if raw is None else Counts.of(raw)


def picture(window: Window, weight: int | None, asked: int | None) -> Table:
    """The candidate's weight, and who answered within the last seconds."""
    table = Table.grid(padding=(0, 1))
    if weight is not None:
        goes = f"{asked}% asked" if asked not in (None, weight) else ""
        table.add_row("candidate's weight", bar(weight / 100, "cyan"), f"{weight:3}%", goes)
    shares, latest = window.shares(), window.latest
    for name, total in sorted(latest.answers.items()):
        share = shares.get(name, 0.0)
        row = (f"answered by {short_name(name)}", bar(share, "green"), f"{share:4.0%}")
        table.add_row(*row, Text(f"{total:,} in all", style="dim"))
    if latest.total:
        style = "green" if latest.is_clean else "bold red"
        table.add_row("", Text(f"failed {latest.failed}   mixed {latest.mixed}", style=style))
    return table


def bar(share: float, style: str) -> Text:
    """A bar of `BAR` cells, filled by a share from 0 to 1."""
    full = round(BAR * min(1.0, max(0.0, share)))
    return Text.assemble(("█" * full, style), ("░" * (BAR - full), "dim"))
