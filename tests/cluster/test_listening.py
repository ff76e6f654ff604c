"""Listeners on hosts of one family: a network namespace from which the other one is taken away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import socket
from lockstep_core.jobs.server import serve
from lockstep_operator.runtime.health import HealthServer

health = HealthServer(port=0, healthy=lambda: None, ready=lambda: None)
health.start()
progress = serve(0, lambda: b"{}", lambda: b"")
for name, port, path in (("health", health.port, "/healthz"), ("job", progress, "/progress")):
    for host in ("127.0.0.1", "::1"):
        try:
            with socket.create_connection((host, port), timeout=10) as client:
                client.sendall(f"GET {path} HTTP/1.1\\r\\n\\r\\n".encode())
                print(name, host, client.recv(100).split()[1].decode())
        except OSError:
            print(name, host, "unreachable")
"""


@pytest.mark.parametrize(
    ("without", "answers"),
    [
        ("true", ("200", "200")),
        ("ip -4 address flush dev lo", ("unreachable", "200")),
        ("sysctl -qw net.ipv6.conf.all.disable_ipv6=1", ("200", "unreachable")),
    ],
    ids=["both", "IPv6 alone", "IPv4 alone"],
)
def test_listeners_answer_on_what_there_is(without: str, answers: tuple[str, str]) -> None:
    script = f'ip link set lo up && {without} && exec "$@"'
    inside = ["unshare", "--map-root-user", "--net", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*inside, sys.executable, "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    four, six = answers
    assert done.stdout.splitlines() == [
        f"{name} {host} {found}"
        for name in ("health", "job")
        for host, found in (("127.0.0.1", four), ("::1", six))
    ]
