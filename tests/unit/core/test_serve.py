"""A real server process: start, readiness, errors, connection ageing and drain."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lockstep_core.protocol import headers
from lockstep_core.protocol.environment import CONFIG_VARIABLE, TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Result

pytestmark = [pytest.mark.unit, pytest.mark.programs]

PROGRAM = Path(__file__).with_name("serving_program.py")


@dataclass
class Running:
    process: subprocess.Popen[str]
    port: int
    termination: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _spawn(
    config: dict[str, object] | str, tmp: Path, *, drain: float = 0.0, age: float = 60.0
) -> subprocess.Popen[str]:
    text = config if isinstance(config, str) else json.dumps(config)
    termination = tmp / "termination"
    environment = {**os.environ, CONFIG_VARIABLE: text, TERMINATION_PATH_VARIABLE: str(termination)}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), "0", str(drain), str(age)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def _running(
    config: dict[str, object], tmp: Path, *, drain: float = 0.0, age: float = 60.0
) -> Iterator[Running]:
    process = _spawn(config, tmp, drain=drain, age=age)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"listening on port (\d+)", line):
                break
        else:
            raise AssertionError(f"the server ended with {process.wait()}")
        # Somebody must read on, or the server would block on a full pipe.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Running(process, int(found.group(1)), tmp / "termination")
    finally:
        process.kill()
        process.wait()


def _until_ready(url: str) -> None:
    for _ in range(600):
        if httpx.get(f"{url}/readyz").status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError("never ready")


@pytest.mark.parametrize(
    ("config", "exit_code", "says"),
    [
        ("", ExitCode.BAD_CONFIG, "no config: set LOCKSTEP_CONFIG"),
        ("{", ExitCode.BAD_CONFIG, "JSON"),
        ({"release": "m-r1", "typo": 1}, ExitCode.BAD_CONFIG, "typo"),
        ({"release": 7}, ExitCode.BAD_CONFIG, "release: "),
        ({"release": "m-r1", "fails": "artifact"}, ExitCode.DIGEST_MISMATCH, "model.onnx"),
        ({"release": "m-r1", "fails": "store"}, ExitCode.STORE_UNAVAILABLE, "the bucket"),
        ({"release": "m-r1", "fails": "self-check"}, ExitCode.SELF_CHECK_FAILED, "item 3"),
        ({"release": "m-r1", "fails": "bug"}, ExitCode.INTERNAL, "KeyError"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    config: dict[str, object] | str, exit_code: ExitCode, says: str, tmp_path: Path
) -> None:
    process = _spawn(config, tmp_path)
    process.communicate(timeout=60)
    assert process.returncode == exit_code
    result = Result.from_json((tmp_path / "termination").read_text())
    assert result.exit_code == exit_code and says in result.message


def test_it_answers_health_while_it_loads_and_says_what_it_waits_for(tmp_path: Path) -> None:
    with _running({"release": "m-r1", "loadingSeconds": 1.5}, tmp_path) as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        loading = httpx.get(f"{server.url}/readyz")
        assert loading.status_code == 503 and loading.json()["waiting"]["model"] == "loading it"
        early = httpx.get(f"{server.url}/work")
        assert early.status_code == 503 and early.json()["error"]["code"] == "not_ready"
        assert headers.SPACE not in early.headers and early.headers[headers.RELEASE] == "m-r1"
        _until_ready(server.url)
        assert httpx.get(f"{server.url}/work").json() == {"release": "m-r1"}


def test_a_stop_while_it_loads_ends_it_at_once(tmp_path: Path) -> None:
    with _running({"release": "m-r1", "loadingSeconds": 600}, tmp_path, drain=600) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0


def test_every_answer_has_our_name_and_every_error_our_shape(tmp_path: Path) -> None:
    with _running({"release": "m-r1"}, tmp_path) as server, httpx.Client() as client:
        _until_ready(server.url)
        wrong = {headers.EXPECTED_SPACE: "b" * 12}
        asked = {
            404: client.get(f"{server.url}/nowhere"),
            405: client.post(f"{server.url}/work"),
            409: client.get(f"{server.url}/work", headers=wrong),
            500: client.get(f"{server.url}/bug"),
            413: client.post(f"{server.url}/size", content=b"x" * 1001),
        }
        for status, response in asked.items():
            assert response.status_code == status
            assert response.headers[headers.SPACE] == "a" * 12
            assert response.headers[headers.RELEASE] == "m-r1"
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}
            assert "secret" not in response.text and "Traceback" not in response.text
        chunks = (b"x" * 100 for _ in range(50))
        assert client.post(f"{server.url}/size", content=chunks).status_code == 413
        assert client.post(f"{server.url}/size", content=b"x" * 1000).json() == {"bytes": 1000}
        metrics = client.get(f"{server.url}/metrics").text
        assert 'test_requests_total{api="bug",code="500"} 1.0' in metrics


def test_what_is_no_http_is_answered_in_our_shape(tmp_path: Path) -> None:
    with _running({"release": "m-r1"}, tmp_path) as server:
        _until_ready(server.url)
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
            answer = b"".join(iter(lambda: raw.recv(4096), b""))
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 400") and b"x-lockstep-space: aaaaaaaaaaaa" in head
        assert json.loads(body)["error"]["code"] == "invalid_http"


def test_work_for_a_client_that_left_is_dropped(tmp_path: Path) -> None:
    with _running({"release": "m-r1"}, tmp_path) as server:
        _until_ready(server.url)
        assert httpx.get(f"{server.url}/patient?seconds=0.2").status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{server.url}/patient?seconds=600", timeout=0.5)
        for _ in range(600):
            if 'api="patient",code="499"} 1.0' in httpx.get(f"{server.url}/metrics").text:
                break
            time.sleep(0.05)
        else:
            raise AssertionError("the handler still waits")


def test_an_idle_connection_is_not_closed_under_a_proxy(tmp_path: Path) -> None:
    """A request that a proxy sends on it just then would fail."""
    with _running({"release": "m-r1"}, tmp_path, age=600) as server:
        _until_ready(server.url)
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/work")
        assert connection.getresponse().read()
        connection.sock.settimeout(7)  # uvicorn's own limit is 5
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
        connection.request("GET", "/work")
        assert connection.getresponse().status == 200


def test_a_busy_connection_ends_after_its_age(tmp_path: Path) -> None:
    with _running({"release": "m-r1"}, tmp_path, age=0.5) as server:
        _until_ready(server.url)
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        answered = 0
        while True:
            connection.request("GET", "/work")
            response = connection.getresponse()
            response.read()
            answered += 1
            if response.headers["connection"] == "close":
                break
        assert answered > 1


def test_sigterm_turns_unready_at_once_and_finishes_what_is_in_flight(tmp_path: Path) -> None:
    with _running({"release": "m-r1"}, tmp_path, drain=1.0) as server:
        _until_ready(server.url)
        slow: list[httpx.Response] = []
        worker = threading.Thread(
            target=lambda: slow.append(httpx.get(f"{server.url}/work?seconds=3", timeout=30))
        )
        worker.start()
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert httpx.get(f"{server.url}/readyz").json()["waiting"] == {
            "drain": "the server is stopping"
        }
        late = httpx.get(f"{server.url}/work")
        assert late.status_code == 200 and late.headers["connection"] == "close"
        worker.join()
        assert slow[0].status_code == 200
        assert server.process.wait(timeout=30) == 0
        assert not server.termination.exists()


def test_no_request_fails_while_a_replica_drains_under_load(tmp_path: Path) -> None:
    """Eight keep-alive clients; new connections leave the old replica 0.5 s after its SIGTERM, as
    endpoints do that are withdrawn."""
    (tmp_path / "b").mkdir()
    with (
        _running({"release": "m-r1"}, tmp_path, drain=1.5) as old,
        _running({"release": "m-r2"}, tmp_path / "b") as new,
    ):
        _until_ready(old.url)
        _until_ready(new.url)
        ports, done = [old.port], threading.Event()
        answers: list[str] = []
        failures: list[str] = []

        def client() -> None:
            connection = None
            while not done.is_set():
                connection = connection or http.client.HTTPConnection("127.0.0.1", ports[0])
                try:
                    connection.request("GET", "/work")
                    response = connection.getresponse()
                    answers.append(json.loads(response.read())["release"])
                except (OSError, http.client.HTTPException) as error:
                    failures.append(repr(error))
                    return
                if response.status != 200:
                    failures.append(str(response.status))
                if response.headers["connection"] == "close":
                    connection.close()
                    connection = None

        clients = [threading.Thread(target=client) for _ in range(8)]
        for each in clients:
            each.start()
        time.sleep(0.5)
        old.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        ports[0] = new.port
        assert old.process.wait(timeout=30) == 0
        before = len(answers)
        while len(answers) < before + 50 and not failures:
            time.sleep(0.01)
        done.set()
        for each in clients:
            each.join()
        assert failures == []
        assert {"m-r1", "m-r2"} == set(answers)
