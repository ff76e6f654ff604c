"""A server of a few small pages (probes, metrics, progress) in a thread of its own.

It has an event loop and no thread for a client: whoever says nothing costs a socket for some
seconds, and neither a thread nor anybody else's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from lockstep_core.network.limits import (
    BODY_SECONDS,
    HEAD_SECONDS,
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    TOO_LARGE,
    TOO_MANY,
    body_is_late,
    head_is_late,
)

MAX_CONNECTIONS = 256

logger = logging.getLogger(__name__)

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

Page = Callable[[], Answer]
MAX_BODIES = 8
"""Bodies that are read at a time: that many times `Put.max_bytes` is what clients can fill."""
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Put:
    """What a PUT of a path does with its body, on the server's own thread, and how large that may
    be and how long it may take."""

    take: Callable[[bytes], Answer]
    max_bytes: int
    seconds: float = BODY_SECONDS


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    fields: Sequence[bytes]

    def values(self, name: bytes) -> list[bytes]:
        """Of the fields of this name (lower case), in their order."""
        pairs = (field.partition(b":") for field in self.fields)
        return [value.strip() for key, _, value in pairs if key.strip().lower() == name]


class PageServer(threading.Thread):
    """Answers GET of each path of `pages`, and PUT of each of `puts`, until the process ends, or
    until `stop`.

    `listener` becomes this server's. A page is made on the server's own thread, and must not block.
    A page of `asked` is given the query of its URL.
    """

    def __init__(
        self,
        listener: socket.socket,
        pages: Mapping[str, Page],
        *,
        name: str,
        puts: Mapping[str, Put] = MappingProxyType({}),
        asked: Mapping[str, Callable[[str], Answer]] = MappingProxyType({}),
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._pages = pages
        self._puts = puts
        self._asked = asked
        self._head_seconds = head_seconds
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._connections: dict[asyncio.Task[None], None] = {}
        self._bodies: dict[asyncio.Task[None], None] = {}

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """Ends the server and closes its port; returns when that is done."""
        with contextlib.suppress(RuntimeError):  # It has ended.
            self._loop.call_soon_threadsafe(self._stopped.set)
        self.join()

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._admit, sock=self._listener, limit=MAX_HEAD_BYTES - len(_END)
        )
        async with server:
            await self._stopped.wait()
            server.close()
            for task in tuple(self._connections):
                task.cancel()

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection. Of too many the oldest, which has been slow for longest, is dropped."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= MAX_CONNECTIONS:
            next(iter(self._connections)).cancel()
        self._connections[task] = None
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            del self._connections[task]
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._head_seconds):
                head = await reader.readuntil(_END)
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            answer = _plain(431, TOO_LARGE)
        except TimeoutError:
            answer = _plain(408, head_is_late(self._head_seconds))
        else:
            answered = await self._answer(head, reader, writer)
            if answered is None:
                return
            answer = answered
        async with asyncio.timeout(LINGER_SECONDS):
            await _send(writer, answer)
            await _discard(reader)

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Answer | None:
        """None: the client went away within its body."""
        first, *fields = head.removesuffix(_END).split(b"\r\n")
        if len(fields) > MAX_FIELDS:
            return _plain(431, TOO_MANY)
        words = first.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _plain(400, "this is no HTTP/1.1 request")
        path, _, query = words[1].partition("?")
        if words[0] == "PUT" and self._puts:
            return await self._put(_Request("PUT", path, fields), reader, writer)
        if words[0] != "GET":
            return _plain(501, f"{words[0]} is not served, GET is")
        if path in self._pages:
            return _made(path, self._pages[path])
        if path in self._asked:
            return _made(path, lambda: self._asked[path](query))
        if path in self._puts:
            return _plain(405, f"{path} takes PUT alone")
        return _plain(404, f"try {', '.join((*self._pages, *self._asked))}")

    async def _put(
        self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Answer | None:
        put = self._puts.get(request.path)
        if put is None:
            known = request.path in self._pages or request.path in self._asked
            if known:
                return _plain(405, f"{request.path} takes GET alone")
            return _plain(404, f"a PUT goes to {', '.join(self._puts)}")
        size = _length_of(request, put.max_bytes)
        if not isinstance(size, int):
            return size
        if request.values(b"expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            body = await self._body(reader, size, put.seconds)
        except TimeoutError:
            return _plain(408, body_is_late(put.seconds))
        except asyncio.IncompleteReadError:
            return None
        return _made(request.path, lambda: put.take(body))

    async def _body(self, reader: asyncio.StreamReader, size: int, seconds: float) -> bytes:
        """Raises TimeoutError and IncompleteReadError. Of too many the oldest is dropped."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._bodies) >= MAX_BODIES:
            oldest = next(iter(self._bodies))
            del self._bodies[oldest]
            oldest.cancel()
        self._bodies[task] = None
        try:
            async with asyncio.timeout(seconds):
                return await reader.readexactly(size)
        finally:
            self._bodies.pop(task, None)


def _length_of(request: _Request, most: int) -> int | Answer:
    """The bytes of the body, or why it is not taken."""
    if request.values(b"transfer-encoding"):
        return _plain(411, "a body in chunks is not taken: send it with a content-length")
    lengths = set(request.values(b"content-length"))
    if not lengths:
        return _plain(411, "the request has no content-length: send one")
    text = lengths.pop()
    if lengths or not text.isdigit():
        return _plain(400, "the content-length is not one whole number")
    # Python refuses to read thousands of digits.
    if len(text) > 18 or int(text) > most:
        return _plain(413, f"the body is larger than {most} bytes")
    return int(text)


def _made(path: str, page: Page) -> Answer:
    try:
        return page()
    except Exception:
        logger.exception("%s failed", path)
        return _plain(500, "the page could not be made; the log has the cause")


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    status, kind, body = answer
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {kind}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _discard(reader: asyncio.StreamReader) -> None:
    """Reads on until the client closes, within bounds."""
    dropped = 0
    while dropped < LINGER_BYTES and (chunk := await reader.read(MAX_HEAD_BYTES)):
        dropped += len(chunk)


def _plain(status: int, text: str) -> Answer:
    return status, "text/plain", f"{text}\n".encode()
