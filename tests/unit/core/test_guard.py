"""Heads and bodies that are too large or too slow are refused, and cost nobody else anything."""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from lockstep_core.network.limits import MAX_FIELDS, MAX_HEAD_BYTES
from lockstep_core.protocol.environment import CONFIG_VARIABLE
from tests.unit.core import raw_http
from tests.unit.core.raw_http import ask, drip, head_of, status, with_fields

pytestmark = [pytest.mark.unit, pytest.mark.programs]

PROGRAM = Path(__file__).with_name("serving_program.py")
HEAD_SECONDS, BODY_SECONDS = 1.0, 1.5
ENDLESS = b"GET /work HTTP/1.1\r\nx: " + b"p" * (MAX_HEAD_BYTES + 1)


@contextmanager
def running() -> Iterator[int]:
    """The port of a real server that is Ready."""
    environment = {**os.environ, CONFIG_VARIABLE: json.dumps({"release": "m-r1"})}
    command = [sys.executable, str(PROGRAM), "0", "0", "60", str(HEAD_SECONDS), str(BODY_SECONDS)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = next(filter(None, (re.search(r"on port (\d+)", line) for line in process.stderr)))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        port = int(found.group(1))
        while httpx.get(f"http://127.0.0.1:{port}/readyz").status_code != 200:
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as found:
        yield found


def in_pieces(whole: bytes, size: int) -> list[bytes]:
    return [whole[begin : begin + size] for begin in range(0, len(whole), size)]


def test_a_head_up_to_the_cap_is_taken_and_one_byte_more_is_not(port: int) -> None:
    for fields in (1, 50):
        assert status(ask(port, head_of(MAX_HEAD_BYTES, fields=fields))) == 200
        refused = ask(port, head_of(MAX_HEAD_BYTES + 1, fields=fields))
        head, _, body = refused.partition(b"\r\n\r\n")
        assert status(refused) == 431 and b"connection: close" in head
        assert b"x-lockstep-release: m-r1" in head
        assert json.loads(body)["error"]["code"] == "head_too_large"
        assert str(MAX_HEAD_BYTES) in json.loads(body)["error"]["message"]
    assert status(ask(port, *in_pieces(head_of(MAX_HEAD_BYTES), 1000))) == 200
    assert status(ask(port, *in_pieces(head_of(MAX_HEAD_BYTES + 1), 1000))) == 431


@pytest.mark.parametrize(
    "unfinished",
    [
        ENDLESS,
        b"GET /work HTTP/1.1\r\n" + b"n" * (MAX_HEAD_BYTES + 1),
        b"GET /" + b"w" * (MAX_HEAD_BYTES + 1),
        b"\r\n" * MAX_HEAD_BYTES,
        ENDLESS * 8,
    ],
    ids=["a field", "a field's name", "a path", "empty lines", "more than one read takes"],
)
def test_a_head_need_not_end_to_be_refused(port: int, unfinished: bytes) -> None:
    assert status(ask(port, unfinished)) == 431


def test_so_many_fields_and_not_one_more(port: int) -> None:
    assert status(ask(port, with_fields(MAX_FIELDS))) == 200
    refused = ask(port, with_fields(MAX_FIELDS + 1))
    assert status(refused) == 431 and b"too_many_fields" in refused


def test_each_head_of_a_connection_is_counted_by_itself(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for _ in range(3):
            client.sendall(head_of(MAX_HEAD_BYTES - 1))
            assert status(raw_http.answer(client)) == 200
        body = b"POST /size HTTP/1.1\r\ncontent-length: 900\r\n\r\n" + b"x" * 900
        for _ in range(200):
            client.sendall(body)
            assert status(raw_http.answer(client)) == 200
        client.sendall(head_of(MAX_HEAD_BYTES + 1))
        assert status(raw_http.answer(client)) == 431


def test_the_request_before_a_refused_one_is_answered(port: int) -> None:
    for refused in (head_of(MAX_HEAD_BYTES + 1), with_fields(MAX_FIELDS + 1), ENDLESS * 3):
        answered = ask(port, with_fields(1, "/work?seconds=0.2") + refused)
        assert status(answered) == 200
        assert b"connection: close" in answered and answered.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "hidden", [b"5;" + b"e" * 8 * MAX_HEAD_BYTES, b"0\r\n" + b"t: t\r\n" * 8 * MAX_FIELDS]
)
def test_what_hides_behind_a_head_is_bounded_too(port: int, hidden: bytes) -> None:
    chunked = b"POST /size HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    assert status(ask(port, chunked + hidden)) == 0


def test_a_head_that_does_not_come_in_time_is_refused(port: int) -> None:
    begun = b"GET /work HTTP/1.1\r\nx: "
    refused = ask(port, begun)
    assert status(refused) == 408 and b"head_timeout" in refused
    assert status(drip(port, begun, HEAD_SECONDS / 10, lambda: b"p")) == 408


def test_an_idle_connection_is_not_late(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for _ in range(2):
            time.sleep(HEAD_SECONDS * 1.5)
            client.sendall(with_fields(1))
            assert status(raw_http.answer(client)) == 200


def test_a_body_that_does_not_come_in_time_is_refused(port: int) -> None:
    begun = b"POST /size HTTP/1.1\r\ncontent-length: 1000\r\n\r\nsome"
    refused = ask(port, begun)
    head, _, body = refused.partition(b"\r\n\r\n")
    assert status(refused) == 408 and b"connection: close" in head
    assert json.loads(body)["error"]["code"] == "body_timeout"
    chunked = b"POST /size HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    assert status(drip(port, chunked, BODY_SECONDS / 10, lambda: b"1\r\nx\r\n")) == 408
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert re.search(r'test_requests_total\{api="size",code="408"\} [1-9]', metrics)


def test_a_body_that_nobody_reads_does_not_keep_the_connection(port: int) -> None:
    begun = b"POST /nowhere HTTP/1.1\r\ncontent-length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=BODY_SECONDS / 10) as client:
        client.sendall(begun)
        assert status(raw_http.answer(client)) == 404
        with suppress(ConnectionError):
            for _ in range(200):
                client.sendall(b"x")
                try:
                    assert client.recv(1) == b""
                    return
                except TimeoutError:
                    continue
            raise AssertionError("the server still listens")


def test_work_that_takes_longer_than_a_body_may_is_not_late(port: int) -> None:
    url = f"http://127.0.0.1:{port}/patient?seconds={BODY_SECONDS * 1.5}"
    assert httpx.request("GET", url, content=b"{}", timeout=30).status_code == 200


def test_slow_heads_keep_nobody_waiting(port: int) -> None:
    """More of them than there are workers, threads or places in any queue of ours."""
    with ExitStack() as open_ones:
        for _ in range(300):
            slow = socket.create_connection(("127.0.0.1", port), timeout=30)
            open_ones.enter_context(slow).sendall(b"GET /work HTTP/1.1\r\nx: ")
        assert [status(ask(port, with_fields(1))) for _ in range(20)] == [200] * 20


def test_a_refused_request_costs_others_nothing(port: int) -> None:
    """The same request to two servers in turns. One of them is sent heads without an end."""
    many = b"GET /work HTTP/1.1\r\n" + raw_http.FIELD * (8 * 1024 * 1024 // len(raw_http.FIELD))
    with running() as calm, ExitStack() as clients:
        attacked, beside = (
            clients.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{each}", timeout=60))
            for each in (port, calm)
        )
        pairs = []
        for attack in [many, ENDLESS * 64] * 10:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as attacker:
                sender = threading.Thread(target=_send, args=(attacker, attack))
                sender.start()
                pairs.append((_seconds(attacked), _seconds(beside)))
                sender.join()
    ratio = statistics.median(one / other for one, other in pairs)
    assert ratio < 8, pairs


def _send(client: socket.socket, attack: bytes) -> None:
    with suppress(OSError):
        client.sendall(attack)


def _seconds(client: httpx.Client) -> float:
    begun = time.perf_counter()
    assert client.get("/work?seconds=0").status_code == 200
    return time.perf_counter() - begun
