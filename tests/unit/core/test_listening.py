"""Every listener of ours answers on both families. A cluster test takes one family away."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lockstep_core.jobs.server import serve
from lockstep_core.network.listening import listen
from lockstep_core.protocol.environment import CONFIG_VARIABLE
from lockstep_operator.runtime.health import HealthServer
from tests.unit.core.raw_http import ask, status

pytestmark = pytest.mark.unit

PROGRAM = Path(__file__).with_name("serving_program.py")
BOTH = ("127.0.0.1", "::1")


def asked(port: int, path: str, host: str) -> int:
    return status(ask(port, f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode(), host=host))


def reached(port: int, host: str) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@contextmanager
def encoder_or_index_server() -> Iterator[int]:
    environment = {**os.environ, CONFIG_VARIABLE: json.dumps({"release": "m-r1"})}
    command = [sys.executable, str(PROGRAM), "0", "0", "60", "10", "60", "all"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = next(filter(None, (re.search(r"on port (\d+)", line) for line in process.stderr)))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield int(found.group(1))
    finally:
        process.kill()
        process.wait()


@pytest.mark.programs
def test_encoders_and_index_servers_answer_on_both() -> None:
    with encoder_or_index_server() as port:
        assert [asked(port, "/healthz", host) for host in BOTH] == [200, 200]


def test_the_operators_probes_answer_on_both() -> None:
    server = HealthServer(port=0, healthy=lambda: None, ready=lambda: None)
    server.start()
    assert [asked(server.port, "/healthz", host) for host in BOTH] == [200, 200]
    server.stop()


def test_the_progress_of_a_job_answers_on_both() -> None:
    port = serve(0, lambda: b"{}", lambda: b"")
    assert [asked(port, "/progress", host) for host in BOTH] == [200, 200]


@pytest.mark.parametrize(
    ("host", "reached_on"), [("127.0.0.1", [True, False]), ("::1", [False, True])]
)
def test_an_address_that_is_given_is_the_only_one(host: str, reached_on: list[bool]) -> None:
    with listen(0, host) as listener:
        port = listener.getsockname()[1]
        assert [reached(port, each) for each in BOTH] == reached_on


def test_a_kernel_without_ipv6_is_listened_to_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listen(0) as listener:
        assert listener.family == socket.AF_INET
        assert reached(listener.getsockname()[1], "127.0.0.1")


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_so_is_one_that_has_it_in_name_only(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = socket.create_server

    def create(address: Any, **options: Any) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(number, os.strerror(number))
        return real(address, **options)

    monkeypatch.setattr(socket, "create_server", create)
    with listen(0) as listener:
        assert listener.family == socket.AF_INET


def test_a_port_that_is_taken_is_an_error_on_either_family() -> None:
    for host in BOTH:
        with listen(0, host) as taken, pytest.raises(OSError, match="in use"):
            listen(taken.getsockname()[1])
