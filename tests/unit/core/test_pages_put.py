"""What a small server takes by PUT: a body with an end, of a size, in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lockstep_core.network.listening import listen
from lockstep_core.network.pages import MAX_BODIES, Answer, PageServer, Put
from tests.unit.core.raw_http import answer, ask, drip, status

pytestmark = pytest.mark.unit

CAP = 300_000
Start = Callable[..., PageServer]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[PageServer] = []

    def run(seconds: float = 30.0) -> PageServer:
        def take(body: bytes) -> Answer:
            if body == b"broken":
                raise KeyError("secret")
            return 200, "text/plain", str(len(body)).encode()

        server = PageServer(
            listen(0, "127.0.0.1"),
            {"/work": lambda: (200, "text/plain", b"done")},
            name="pages",
            puts={"/bets": Put(take, CAP, seconds)},
            asked={"/after": lambda query: (200, "text/plain", query.encode())},
        )
        running.append(server)
        server.start()
        return server

    yield run
    for server in running:
        server.stop()


def put(size: int | str, *fields: bytes, path: bytes = b"/bets") -> bytes:
    length = b"content-length: " + str(size).encode() + b"\r\n"
    return b"PUT " + path + b" HTTP/1.1\r\n" + length + b"".join(fields) + b"\r\n"


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 131_073, CAP])
def test_a_body_up_to_the_cap_is_taken_whole(start: Start, size: int) -> None:
    answered = ask(start().port, put(size) + b"x" * size)
    assert status(answered) == 200 and answered.endswith(b"\r\n\r\n" + str(size).encode())


def test_what_comes_after_the_body_is_no_part_of_it(start: Start) -> None:
    answered = ask(start().port, put(3) + b"abc" + put(5))
    assert status(answered) == 200 and answered.endswith(b"\r\n\r\n3")


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (put(CAP + 1), 413, b"larger than 300000 bytes"),
        (put("9" * 5000), 413, b"larger than 300000 bytes"),
        (put(-1), 400, b"not one whole number"),
        (put("3.0"), 400, b"not one whole number"),
        (put("\u0663".encode().decode("latin-1")), 400, b"not one whole number"),
        (put(3, b"Content-Length: 4\r\n"), 400, b"not one whole number"),
        (put(3, b"Transfer-Encoding: chunked\r\n"), 411, b"in chunks"),
        (b"PUT /bets HTTP/1.1\r\n\r\n", 411, b"no content-length"),
        (b"GET /bets HTTP/1.1\r\n\r\n", 405, b"takes PUT alone"),
        (put(3, path=b"/work"), 405, b"takes GET alone"),
        (put(3, path=b"/after"), 405, b"takes GET alone"),
        (put(3, path=b"/other"), 404, b"a PUT goes to /bets"),
        (b"POST /bets HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", 501, b"POST is not served"),
        (put(6) + b"broken", 500, b"the log has the cause"),
    ],
)
def test_what_is_no_such_body_is_refused(
    start: Start, sent: bytes, code: int, words: bytes
) -> None:
    answered = ask(start().port, sent)
    assert status(answered) == code and words in answered and b"secret" not in answered


def test_a_body_one_byte_above_the_cap_is_not_read(start: Start) -> None:
    assert status(ask(start().port, put(CAP + 1) + b"x" * (CAP + 1))) == 413


def test_a_client_that_asks_first_is_told_to_go_on_or_not(start: Start) -> None:
    port = start().port
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(put(3, b"expect: 100-continue\r\n"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert status(answer(client)) == 200
    assert status(ask(port, put(CAP + 1, b"expect: 100-continue\r\n"))) == 413


def test_a_body_that_does_not_come_in_time_is_refused(start: Start) -> None:
    port = start(0.5).port
    assert status(ask(port, put(10) + b"abc")) == 408
    assert status(drip(port, put(1000), 0.1, lambda: b"x")) == 408


def test_a_client_that_goes_within_its_body_is_left(start: Start) -> None:
    port = start().port
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(put(10) + b"abc")
    assert status(ask(port, put(3) + b"abc")) == 200


def test_of_too_many_bodies_the_oldest_is_dropped(start: Start) -> None:
    """So what clients can fill is bounded, and nobody waits for those who are slow."""
    port = start().port
    with ExitStack() as open_ones:
        slow = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(MAX_BODIES + 1)
        ]
        for each in slow:
            each.sendall(put(10) + b"abc")
            time.sleep(0.01)
        assert slow[0].recv(10) == b""
        slow[1].sendall(b"defghij")
        assert status(answer(slow[1])) == 200
        assert status(ask(port, put(3) + b"abc")) == 200


def test_a_page_may_be_given_its_query(start: Start) -> None:
    assert ask(start().port, b"GET /after?after=3 HTTP/1.1\r\n\r\n").endswith(b"after=3")
