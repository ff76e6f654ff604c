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
from collections.abc import Callable, Mapping
from http import HTTPStatus

from lockstep_core.network.limits import (
    HEAD_SECONDS,
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    TOO_LARGE,
    TOO_MANY,
    head_is_late,
)

MAX_CONNECTIONS = 256

logger = logging.getLogger(__name__)

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

Page = Callable[[], Answer]
_END = b"\r\n\r\n"


class PageServer(threading.Thread):
    """Answers GET of each path of `pages` until the process ends, or until `stop`.

    `listener` becomes this server's. A page is made on the server's own thread, and must not block.
    """

    def __init__(
        self,
        listener: socket.socket,
        pages: Mapping[str, Page],
        *,
        name: str,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._pages = pages
        self._head_seconds = head_seconds
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._connections: dict[asyncio.Task[None], None] = {}

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
            answer = self._answer(head)
        async with asyncio.timeout(LINGER_SECONDS):
            await _send(writer, answer)
            await _discard(reader)

    def _answer(self, head: bytes) -> Answer:
        first, *fields = head.removesuffix(_END).split(b"\r\n")
        if len(fields) > MAX_FIELDS:
            return _plain(431, TOO_MANY)
        words = first.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _plain(400, "this is no HTTP/1.1 request")
        if words[0] != "GET":
            return _plain(501, f"{words[0]} is not served, GET is")
        page = self._pages.get(words[1].partition("?")[0])
        if page is None:
            return _plain(404, f"try {', '.join(self._pages)}")
        try:
            return page()
        except Exception:
            logger.exception("%s failed", words[1])
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
