"""Sketches of a candidate's pods and of stable's, merged, beside their baselines. Needs numpy.

Imported with the first gate that asks for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lockstep_core.drift.baseline_file import from_wire as baseline_from_wire
from lockstep_core.drift.beside import embedded
from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.sketch import Sketch as WindowSketch
from lockstep_core.drift.sketch import merge
from lockstep_core.drift.sketch_wire import sketch_from_wire
from lockstep_core.protocol.drift import Embedded
from lockstep_operator.decide.snapshot.measurements import (
    Monitored,
    Sketch,
    Sketched,
    Target,
    Unwatchable,
)
from lockstep_operator.runtime.drift_pages import Told, told_by
from lockstep_operator.runtime.monitors import Expected, Monitors, NothingToWatch
from lockstep_operator.runtime.probing import ProbeError


async def sketched(monitors: Monitors, what: Sketch) -> Sketched | Unwatchable:
    """What both releases embedded in the windows asked for.

    Raises ProbeError when one of their pods cannot be read: a pod that is left out may be the one
    that is broken. A stable release that has nothing to watch with leaves the candidate alone.
    """
    try:
        own = await _of_release(monitors, what, what.own)
    except NothingToWatch as error:
        return Unwatchable(str(error))
    found = Sketched(own, _count(what), what.window_seconds, alone=what.alone)
    if what.stable is None:
        return found
    try:
        return replace(found, stable=await _of_release(monitors, what, what.stable))
    except NothingToWatch as error:
        return replace(found, alone=f"{what.stable.release} beside it is not watched: {error}")


def _count(what: Sketch) -> int:
    return what.last - what.first + 1


async def _of_release(monitors: Monitors, what: Sketch, of: Monitored) -> Embedded:
    if not of.targets:
        raise ProbeError(f"no encoder pod of {of.release} is ready")
    expected = Expected(of.release, of.space, what.window_seconds)
    told = await asyncio.gather(*(_told(monitors, what, one, expected) for one in of.targets))
    wire = await monitors.baseline(of.targets[0])
    return await asyncio.to_thread(_embedded, what, of.release, told, wire)


async def _told(monitors: Monitors, what: Sketch, target: Target, expected: Expected) -> Told:
    told = await told_by(
        monitors,
        target,
        after=what.first - 1,
        closed=what.last,
        history=_count(what),
        expected=expected,
    )
    if isinstance(told, ProbeError):
        raise told
    if told.until < what.last:
        raise ProbeError(f"the monitor of pod {target.pod} has not closed the last window")
    return told


def _embedded(what: Sketch, release: str, told: Sequence[Told], wire: Any) -> Embedded:
    """Merged first and compared after."""
    windows: dict[int, WindowSketch] = {}
    try:
        for one in told:
            for raw in one.wires:
                sketch = sketch_from_wire(raw)
                if sketch.role != what.role or sketch.span.windows != 1:
                    continue
                known = windows.get(sketch.span.first)
                windows[sketch.span.first] = sketch if known is None else merge(known, sketch)
        return embedded(release, windows.values(), baseline_from_wire(wire))
    except DriftError as error:
        raise ProbeError(f"sketches of {release} do not fit: {error}") from error
