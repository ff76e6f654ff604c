"""The drift and the answers of the new visitors over time, as a picture without a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 300, 46, 46, 34, 30


@dataclass(frozen=True)
class Point:
    """One look: MMD of the last window and its tolerance, and the share of right answers; None
    where there is none yet. `at` in seconds."""

    at: float
    drift: float | None
    tolerance: float | None
    right: float | None
    state: str = ""


@dataclass
class Curve:
    """Points in the order of time, and what happened when."""

    points: list[Point] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)

    def add(self, point: Point) -> None:
        self.points.append(point)

    def mark(self, at: float, what: str) -> None:
        self.marks.append((at, what))

    @property
    def tells(self) -> bool:
        """Whether there is anything to draw."""
        return any(point.drift is not None for point in self.points)


def smoothed(points: Sequence[Point], seconds: float = 5.0) -> list[tuple[float, float | None]]:
    """The share of right answers as the mean over the last seconds."""
    found: list[tuple[float, float | None]] = []
    for place, point in enumerate(points):
        recent = [
            p.right
            for p in points[: place + 1]
            if p.right is not None and p.at > point.at - seconds
        ]
        found.append((point.at, sum(recent) / len(recent) if recent else None))
    return found


def draw(curve: Curve) -> str:
    """An SVG: the share of right answers on the left axis, the distance on the right one."""
    first, last = curve.points[0].at, max(curve.points[-1].at, curve.points[0].at + 1)
    highest = max([0.1, *(p.drift for p in curve.points if p.drift is not None)]) * 1.15

    def x(at: float) -> float:
        return LEFT + (at - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    drift = [(p.at, None if p.drift is None else p.drift / highest) for p in curve.points]
    bound = [(p.at, None if p.tolerance is None else p.tolerance / highest) for p in curve.points]
    lines = [
        _line(smoothed(curve.points), x, y, "right"),
        _line(drift, x, y, "drift"),
        _line(bound, x, y, "bound"),
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Drift and right answers over'
        f' time">{_axes(highest, last - first, y)}{"".join(lines)}'
        f"{''.join(_mark(x(at), what) for at, what in curve.marks)}</svg>"
    )


def _line(
    values: Sequence[tuple[float, float | None]],
    x: Callable[[float], float],
    y: Callable[[float], float],
    kind: str,
) -> str:
    """One stroke for each stretch without a gap."""
    strokes = []
    for there, stretch in groupby(values, key=lambda pair: pair[1] is not None):
        if there:
            at = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in stretch if v is not None)
            strokes.append(f'<polyline class="{kind}" points="{at}"/>')
    return "".join(strokes)


def _axes(highest: float, seconds: float, y: Callable[[float], float]) -> str:
    right, ticks = WIDTH - RIGHT, (0.0, 0.5, 1.0)
    rows = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(s):.1f}" y2="{y(s):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(s) + 4:.1f}" text-anchor="end">{s:.0%}</text>'
        f'<text x="{right + 6}" y="{y(s) + 4:.1f}">{s * highest:.2f}</text>'
        for s in ticks
    )
    end = f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">{seconds:.0f} s</text>'
    return rows + f'<text x="{LEFT}" y="{HEIGHT - 8}">0 s</text>' + end


def _mark(x: float, what: str) -> str:
    return (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text x="{x:.1f}" y="{TOP - 8}" text-anchor="middle">{escape(what)}</text>'
    )
