"""`GET /progress` of a Job's pod: what long work is doing. Never in a status; read by proxy."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lockstep_core.protocol.base import Contract


class Phase(StrEnum):
    STARTING = "Starting"
    VALIDATING = "Validating"
    TRAINING = "Training"
    EMBEDDING = "Embedding"
    INDEXING = "Indexing"
    EVALUATING = "Evaluating"
    EXPORTING = "Exporting"
    PUBLISHING = "Publishing"
    DONE = "Done"


class Progress(Contract):
    """`done` of `total` units (steps, rows or queries) of the current phase."""

    program: str
    release: str
    phase: Phase
    done: int = Field(default=0, ge=0)
    total: int = Field(default=0, ge=0)
    eta_seconds: float | None = None
    items_per_second: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
