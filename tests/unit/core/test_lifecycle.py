"""Ready is every check, and old connections end with their response."""

from __future__ import annotations

import pytest

from lockstep_core.serving.lifecycle import RETIRE_AT, Lifecycle, MaxConnectionAge
from tests.unit.core.asgi import call, impostor, scope_with

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("now", "draining", "closes"), [(9.9, False, False), (10.0, False, True), (0.0, True, True)]
)
async def test_old_connections_end_with_their_response(
    now: float, draining: bool, closes: bool
) -> None:
    lifecycle = Lifecycle()
    lifecycle.draining = draining
    app = MaxConnectionAge(impostor, lifecycle=lifecycle, clock=lambda: now)
    _, found, _ = await call(app, scope_with(**{RETIRE_AT: 10.0}))
    assert (found.get("connection") == "close") is closes


def test_ready_needs_every_check_and_ends_with_the_drain() -> None:
    lifecycle = Lifecycle()
    lifecycle.wait_for("index a", "asking")
    lifecycle.passed("start")
    assert lifecycle.waiting == {"index a": "asking"} and not lifecycle.ready
    lifecycle.passed("index a")
    assert lifecycle.ready
    lifecycle.draining = True
    assert list(lifecycle.waiting) == ["drain"]
