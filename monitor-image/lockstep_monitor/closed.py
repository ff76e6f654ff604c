"""A window whose time is over."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.drift import vectors
from lockstep_core.drift.sketch import Sketch
from lockstep_core.drift.sketch_wire import sketch_to_wire


@dataclass(frozen=True)
class Closed:
    """A window of a role: its sketch, and that as JSON."""

    window: int
    sketch: Sketch
    wire: bytes


def closed(sketch: Sketch) -> Closed:
    """Of a sketch of one window."""
    return Closed(sketch.span.first, sketch, vectors.canonical(sketch_to_wire(sketch)))
