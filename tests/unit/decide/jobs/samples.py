"""A time and a pod, for what Jobs and pods say. Nothing is a test."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lockstep_operator.decide.vocabulary import clock

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "creationTimestamp": clock.text(NOW)}, "status": status}
