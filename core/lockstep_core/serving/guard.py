"""What a connection may send, and how long it may take; what is refused gets our shape of an error.

uvicorn bounds neither, and its parser keeps a whole header field before it shows it to anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lockstep_core.network.limits import (
    BODY_SECONDS,
    HEAD_SECONDS,
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    TOO_LARGE,
    TOO_MANY,
    head_is_late,
)
from lockstep_core.serving.errors import DISCARDED_BYTES, RequestError, error_response
from lockstep_core.serving.identity import IdentityHolder


class GuardedProtocol(HttpToolsProtocol):
    """Refuses a head that is too large (431) or too slow (408), and closes on a body that nobody
    waits for any more. The time of a body that is waited for is `BodyDeadline`'s."""

    identity: IdentityHolder
    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._unseen = 0
        """Bytes since the last part of a body or the end of a message: a head, or what the parser
        keeps for itself (chunk extensions, trailers)."""
        self._in_head = self._in_body = False
        self._timer: asyncio.TimerHandle | None = None
        self._failure: RequestError | None = None
        self._refused = False
        self._dropped = 0
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._drop(len(data), LINGER_BYTES)
            return
        rest = memoryview(data)
        while rest and not self.transport.is_closing() and not self._refused:
            if self._unseen >= MAX_HEAD_BYTES:
                self._refuse(RequestError(431, TOO_LARGE, code="head_too_large"))
                return
            part = rest[: MAX_HEAD_BYTES - self._unseen]
            rest = rest[len(part) :]
            self._unseen += len(part)
            super().data_received(part)  # type: ignore[arg-type]
        if self._refused or self.transport.is_closing():
            return
        if self._in_head and self._timer is None:
            self._start_timer(self.head_seconds, self._head_late)
        elif not self._in_head and not self._busy():
            self._await_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._dropped = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MAX_FIELDS:
            self._fail(RequestError(431, TOO_MANY, code="too_many_fields"))

    def on_headers_complete(self) -> None:
        # Where it began in the middle of a read, behind another request, it was not counted whole.
        fields = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
        line = len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1\r\n")
        if line + fields + len("\r\n") > MAX_HEAD_BYTES:
            self._fail(RequestError(431, TOO_LARGE, code="head_too_large"))
        self._unseen, self._in_head, self._in_body = 0, False, True
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unseen = 0
        if self.cycle.response_complete:
            self._drop(len(body), DISCARDED_BYTES)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unseen, self._in_body = 0, False
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and not self._busy() and not self.transport.is_closing():
            # Nobody reads the rest of this body; the next request can only come after it.
            self._start_timer(self.body_seconds, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP at all is answered in our shape and under our name, too."""
        self._refuse(self._failure or RequestError(400, msg, code="invalid_http"))

    def _fail(self, error: RequestError) -> None:
        """Ends the parsing: uvicorn then sends its 400, which is this error."""
        self._failure = error
        raise error

    def _refuse(self, error: RequestError) -> None:
        """Answers and closes. The rest of what the client sends is dropped, within bounds."""
        self._refused = True
        self._stop_timer()
        if self._in_body:
            self.transport.close()
            return
        if self._busy():
            # Our answer would be taken for that of the request before, which ends the connection.
            self.cycle.keep_alive = False
            return
        response = error_response(error)
        pairs = [
            *self.identity.current.headers(),
            *response.headers.items(),
            ("connection", "close"),
        ]
        head = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        line = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        self.transport.write(f"{line}{head}\r\n".encode() + bytes(response.body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._start_timer(LINGER_SECONDS, self.transport.close)

    def _head_late(self) -> None:
        self._timer = None
        if self._busy():  # It may wait in our own buffers, behind that one.
            self._start_timer(self.head_seconds, self._head_late)
        else:
            message = head_is_late(self.head_seconds)
            self._refuse(RequestError(408, message, code="head_timeout"))

    def _drop(self, size: int, limit: int) -> None:
        self._dropped += size
        if self._dropped > limit:
            self.transport.close()

    def _busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _await_request(self) -> None:
        """An idle connection ends at last, whether or not it ever had a request."""
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _start_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
