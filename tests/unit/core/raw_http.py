"""Requests as bytes: heads of an exact size, and what a server answers to them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

FIELD = b"a: b\r\n"


def head_of(size: int, path: str = "/work", *, fields: int = 1) -> bytes:
    """A whole head of `size` bytes in `fields` fields."""
    start = f"GET {path} HTTP/1.1\r\n".encode()
    few = FIELD * (fields - 1)
    padding = size - len(start) - len(few) - len(b"x: \r\n\r\n")
    return start + few + b"x: " + b"p" * padding + b"\r\n\r\n"


def with_fields(count: int, path: str = "/work") -> bytes:
    """A whole head of that many fields."""
    return f"GET {path} HTTP/1.1\r\n".encode() + FIELD * count + b"\r\n"


def ask(port: int, *parts: bytes, pause: float = 0.0, host: str = "127.0.0.1") -> bytes:
    """What the server says to `parts` until it closes, or until its first answer is whole."""
    with socket.create_connection((host, port), timeout=30) as client:
        with contextlib.suppress(ConnectionError):
            for number, part in enumerate(parts):
                time.sleep(pause if number else 0)
                client.sendall(part)
        return answer(client)


def answer(client: socket.socket) -> bytes:
    """One whole answer, of a Content-Length, or what came before the end."""
    got = b""
    while chunk := _received(client):
        got += chunk
        head, end, body = got.partition(b"\r\n\r\n")
        sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        if end and sizes and len(body) >= int(sizes[0].split(b":")[1]):
            break
    return got


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""


def status(answered: bytes) -> int:
    """The status code; 0 when the server closed without a word."""
    return int(answered.split(b" ", 2)[1]) if answered else 0


def drip(port: int, first: bytes, pause: float, more: Callable[[], bytes]) -> bytes:
    """The answer to `first` and then a few bytes every `pause` seconds, for ever."""
    with socket.create_connection(("127.0.0.1", port), timeout=pause) as client:
        client.sendall(first)
        for _ in range(int(30 / pause)):
            try:
                return answer(client)
            except TimeoutError:
                client.sendall(more())
    raise AssertionError("the server still listens")
