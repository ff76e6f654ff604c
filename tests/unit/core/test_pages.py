"""The small servers: probes of the operator, `/progress` of a Job."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from lockstep_core.network.limits import MAX_FIELDS, MAX_HEAD_BYTES
from lockstep_core.network.listening import listen
from lockstep_core.network.pages import MAX_CONNECTIONS, Answer, PageServer
from tests.unit.core import raw_http
from tests.unit.core.raw_http import ask, drip, head_of, status, with_fields

pytestmark = pytest.mark.unit

Start = Callable[..., PageServer]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[PageServer] = []

    def run(**options: float) -> PageServer:
        def broken() -> Answer:
            raise KeyError("secret")

        pages = {"/work": lambda: (200, "text/plain", b"done"), "/broken": broken}
        running.append(PageServer(listen(0, "127.0.0.1"), pages, name="pages", **options))
        running[-1].start()
        return running[-1]

    yield run
    for server in running:
        server.stop()


def test_pages_and_what_is_none(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    port = start().port
    answered = ask(port, b"GET /work?x=1 HTTP/1.1\r\nhost: a\r\n\r\n")
    assert status(answered) == 200 and answered.endswith(b"\r\n\r\ndone")
    assert b"content-type: text/plain" in answered and b"connection: close" in answered
    assert b"/work, /broken" in ask(port, b"GET /other HTTP/1.1\r\n\r\n")
    for code, sent in {
        404: b"GET /other HTTP/1.1\r\n\r\n",
        501: b"POST /work HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1000000,
        400: b"\x16\x03\x01 this is no HTTP\r\n\r\n",
        500: b"GET /broken HTTP/1.0\r\n\r\n",
    }.items():
        assert status(ask(port, sent)) == code
    assert "/broken failed" in caplog.text


def test_a_head_up_to_the_cap_is_taken_and_one_byte_more_is_not(start: Start) -> None:
    port = start().port
    for fields in (1, 50):
        assert status(ask(port, head_of(MAX_HEAD_BYTES, fields=fields))) == 200
        assert status(ask(port, head_of(MAX_HEAD_BYTES + 1, fields=fields))) == 431
    assert status(ask(port, b"GET /work HTTP/1.1\r\nx: " + b"p" * MAX_HEAD_BYTES)) == 431
    assert status(ask(port, with_fields(MAX_FIELDS))) == 200
    assert status(ask(port, with_fields(MAX_FIELDS + 1))) == 431


def test_a_head_that_does_not_come_in_time_is_refused(start: Start) -> None:
    port = start(head_seconds=0.5).port
    begun = b"GET /work HTTP/1.1\r\nx: "
    assert status(ask(port, begun)) == 408
    assert status(drip(port, begun, 0.1, lambda: b"p")) == 408


def test_slow_heads_cost_neither_a_thread_nor_an_answer(start: Start) -> None:
    """Beyond a number of them the oldest is dropped, and everybody else is answered."""
    port = start().port
    threads = threading.active_count()
    with ExitStack() as open_ones:
        slow = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(MAX_CONNECTIONS + 20)
        ]
        for each in slow:
            with suppress(OSError):
                each.sendall(b"GET /work HTTP/1.1\r\nx: ")
        assert [status(ask(port, with_fields(1))) for _ in range(20)] == [200] * 20
        assert threading.active_count() == threads
        assert raw_http.answer(slow[0]) == b""


def test_a_head_without_an_end_keeps_nobody_waiting(start: Start) -> None:
    port = start().port
    endless = b"GET /work HTTP/1.1\r\n" + raw_http.FIELD * 200_000
    done = threading.Event()

    def attack() -> None:
        while not done.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(endless)

    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        assert [status(ask(port, with_fields(1))) for _ in range(50)] == [200] * 50
    finally:
        done.set()
        attacker.join()


def test_a_client_that_never_closes_is_left(start: Start) -> None:
    port = start().port
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(with_fields(1))
        assert status(raw_http.answer(client)) == 200
        with pytest.raises(ConnectionError):
            for _ in range(300):
                client.sendall(b"x")
                time.sleep(0.05)


def test_stop_closes_the_port(start: Start) -> None:
    server = start()
    with socket.create_connection(("127.0.0.1", server.port)):
        server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
