"""Probes that say why."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from lockstep_operator.runtime.health import HealthServer

pytestmark = pytest.mark.unit


@pytest.fixture
def probes() -> Iterator[tuple[HealthServer, dict[str, str | None]]]:
    reasons: dict[str, str | None] = {"healthy": None, "ready": "listing"}
    server = HealthServer(
        host="127.0.0.1",
        port=0,
        healthy=lambda: reasons["healthy"],
        ready=lambda: reasons["ready"],
    )
    server.start()
    yield server, reasons
    server.stop()


def fetch(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_probes_say_why(probes: tuple[HealthServer, dict[str, str | None]]) -> None:
    server, reasons = probes
    assert fetch(server, "/healthz") == (200, "ok\n")
    assert fetch(server, "/readyz") == (503, "listing\n")
    reasons["healthy"] = "the main loop stands still for 31 s"
    assert fetch(server, "/healthz") == (503, "the main loop stands still for 31 s\n")
    assert fetch(server, "/nowhere")[0] == 404
    assert "lockstep_leader" in fetch(server, "/metrics")[1]
