"""Line charts as SVG text, drawn small so that their words stay readable on a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 400, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 28
MAX_POINTS = 400


@dataclass(frozen=True)
class Line:
    """`points` are (step, value); `style` is a class of the style sheet, `s1` to `s4`."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str


def line_chart(
    lines: Sequence[Line], *, levels: Sequence[Line] = (), mark: int | None = None
) -> str:
    """Values over steps, with a legend below. `levels` are dashed and have one value each; `mark`
    is a step that gets a vertical line."""
    drawn = [line for line in lines if line.points]
    values = [value for line in [*drawn, *levels] for _, value in line.points]
    last = max((step for line in drawn for step, _ in line.points), default=1.0)
    ticks = nice_ticks(min(values, default=0.0), max(values, default=1.0))
    low, high = ticks[0], ticks[-1]

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / max(1.0, last)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    parts = [_grid(ticks, last, x(last), [y(tick) for tick in ticks])]
    if mark is not None and 0 < mark < last:
        parts.append(f'<path class="mark" d="M{x(mark):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    for level in levels:
        at = y(level.points[0][1])
        parts.append(f'<path class="level {level.style}" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
    for line in drawn:
        points = [(x(step), y(value)) for step, value in thinned(line.points)]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        parts.append(f'<path class="line {line.style}" d="M{path}"/>')
        if len(points) <= 30:
            parts += [
                f'<circle class="dot {line.style}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>'
                for a, b in points
            ]
    named = ", ".join(line.name for line in drawn)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(named)}">'
        f"{''.join(parts)}</svg>{_legend([*drawn, *levels], {line.name for line in levels})}"
    )


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MAX_POINTS`, evenly spaced, the last one among them."""
    step = max(1, math.ceil(len(points) / MAX_POINTS))
    kept = list(points[::step])
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that span [low, high]; two at least."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / (count - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * by for by in (1, 2, 2.5, 5, 10) if power * by >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [at * step for at in range(first, max(last, first + 1) + 1)]


def _grid(ticks: Sequence[float], last: float, right: float, heights: Sequence[float]) -> str:
    parts = []
    for tick, at in zip(ticks, heights, strict=True):
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    bottom = HEIGHT - 8
    parts.append(f'<text x="{LEFT}" y="{bottom}">0</text>')
    parts.append(f'<text x="{right:.1f}" y="{bottom}" text-anchor="end">step {last:,.0f}</text>')
    return "".join(parts)


def _legend(lines: Sequence[Line], dashed: set[str]) -> str:
    entries = (
        f'<li><i class="key {line.style}{" dashed" if line.name in dashed else ""}"></i>'
        f"{escape(line.name)} <b>{line.points[-1][1]:.4g}</b></li>"
        for line in lines
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'
