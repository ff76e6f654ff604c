"""Sketches, bets, baselines and evidence as JSON: strict and bounded."""

from __future__ import annotations

from typing import Any

from lockstep_core.drift.sketch import Sketch


def sketch_to_wire(sketch: Sketch) -> dict[str, Any]:
    raise NotImplementedError


def sketch_from_wire(content: object) -> Sketch:
    """Raises SketchError."""
    raise NotImplementedError
