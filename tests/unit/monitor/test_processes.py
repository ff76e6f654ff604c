"""A real monitor process on a real socket, killed, started again, and flooded."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from lockstep_core.protocol.monitoring import MAX_BETS_BYTES, SketchesAnswer
from tests.unit.monitor.support import (
    datagram,
    features,
    hand_over,
    monitor_process,
    rows,
    short_folder,
)

pytestmark = [pytest.mark.unit, pytest.mark.programs]

FEATURES = features()


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as found:
        yield found


def test_what_it_answers_is_the_sum_of_what_was_sent(folder: Path) -> None:
    with monitor_process(folder) as monitor, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        hand_over(folder, FEATURES)
        sent = [rows(20, seed) for seed in range(10)]
        for each in sent:
            to.sendto(datagram(FEATURES, each), str(monitor.socket))
        monitor.until(lambda report: sum(w["n"] for w in report["windows"]) == 200)
        text = httpx.get(f"{monitor.url}/v1/sketch", params={"after": -1}).text
        answer = SketchesAnswer.model_validate_json(text)
        assert answer.features_digest == FEATURES.digest and answer.window_seconds == 10
        assert sum(sketch["n"] for sketch in answer.sketches) == 200
        assert httpx.get(f"{monitor.url}/healthz").text == "ok\n"
        assert "lockstep_monitor_embeddings_total" in httpx.get(f"{monitor.url}/metrics").text
        assert httpx.get(f"{monitor.url}/v1/baseline").status_code == 404
        large = b"x" * (MAX_BETS_BYTES + 1)
        assert httpx.put(f"{monitor.url}/v1/bets", content=large).status_code == 413
        assert httpx.put(f"{monitor.url}/v1/bets", content=large[1:]).status_code == 422
        assert monitor.stop() == 0 and not monitor.socket.exists()


def test_a_worker_that_is_killed_is_started_again_and_the_container_never_ends(
    folder: Path,
) -> None:
    """A container that ends makes its pod unready, and so takes the encoder out of its Service."""
    hand_over(folder, FEATURES)
    with monitor_process(folder) as monitor:
        for _ in range(2):
            before = monitor.until(lambda report: report["features"] is not None) and monitor.worker
            os.kill(before, signal.SIGKILL)
            monitor.until(lambda _, before=before: monitor.worker not in (0, before))
            assert monitor.process.poll() is None
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            monitor.until(lambda report: report["features"] is not None)
            to.sendto(datagram(FEATURES, rows(5)), str(monitor.socket))
        monitor.until(lambda report: [w["n"] for w in report["windows"]] == [5])
        last = monitor.worker
        os.kill(last, signal.SIGKILL)
        monitor.until(lambda _: monitor.worker not in (0, last))
        monitor.until(lambda report: [w["n"] for w in report["windows"]] == [5])
        assert monitor.stop() == 0


def test_a_socket_that_is_taken_away_is_bound_again(folder: Path) -> None:
    hand_over(folder, FEATURES)
    with monitor_process(folder) as monitor:
        monitor.socket.unlink()
        monitor.until(lambda report: monitor.socket.exists())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(datagram(FEATURES, rows(5)), str(monitor.socket))
        monitor.until(lambda report: [w["n"] for w in report["windows"]] == [5])


def test_a_flood_of_nonsense_changes_nothing(folder: Path) -> None:
    hand_over(folder, FEATURES)
    rng = np.random.default_rng(0)
    with monitor_process(folder) as monitor, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        good = datagram(FEATURES, rows(5))
        for _ in range(300):
            torn = bytearray(good)
            torn[rng.integers(0, 80)] ^= int(rng.integers(1, 256))
            to.sendto(rng.bytes(int(rng.integers(0, 400))), str(monitor.socket))
            to.sendto(bytes(torn[: int(rng.integers(0, len(torn)))]), str(monitor.socket))
        to.sendto(good, str(monitor.socket))
        monitor.until(lambda report: any(w["n"] == 5 for w in report["windows"]))


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lockstep_monitor", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_config_that_is_none_names_the_field(folder: Path) -> None:
    (folder / "c.json").write_text('{"model": "m", "release": "m-r1"}')
    found = run("serve", "--config", str(folder / "c.json"))
    assert found.returncode == 2 and "`namespace`" in found.stderr
    (folder / "c.json").write_text("")
    found = run("serve", "--config", str(folder / "c.json"))
    assert found.returncode == 2 and "is empty" in found.stderr


def test_help_teaches() -> None:
    found = run("serve", "--help").stdout
    assert "/v1/report" in found and "LOCKSTEP_MONITOR" in found and "exit codes" in found


def test_the_process_that_supervises_imports_no_numpy() -> None:
    code = (
        "import sys, threading, os, signal, lockstep_monitor.__main__ as m;"
        "import lockstep_monitor.supervisor;"
        "print([n for n in ('numpy', 'pydantic', 'prometheus_client') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.stdout == "[]\n", found.stderr
