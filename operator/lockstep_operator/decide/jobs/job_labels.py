"""What the labels of a Job hold: its kind, its attempt, its index, the analysis it measures for."""

from __future__ import annotations

from lockstep_core.protocol import labels
from lockstep_operator.api.objects import Object


def kind_of(job: Object) -> str:
    """The value of a `JobKind`; empty where the label was removed."""
    return _label(job, labels.COMPONENT) or ""


def index_of(job: Object) -> str | None:
    return _label(job, labels.INDEX)


def attempt_of(job: Object) -> int:
    """From 1; 0 where the label was removed."""
    return int(_label(job, labels.ATTEMPT) or 0)


def gate_of(job: Object) -> str | None:
    """The gate that a replay measures for."""
    return _label(job, labels.GATE)


def analysis_of(job: Object) -> str:
    """The analysis that a replay measures for, with its gate; empty for other Jobs."""
    return str((job["metadata"].get("annotations") or {}).get(labels.ANALYSIS) or "")


def _label(job: Object, key: str) -> str | None:
    value = (job["metadata"].get("labels") or {}).get(key)
    return None if value is None else str(value)
