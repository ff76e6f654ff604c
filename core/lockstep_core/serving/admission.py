"""Refuse early: a bounded amount of waiting work, and deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers

from lockstep_core.protocol.headers import DEADLINE
from lockstep_core.serving.errors import RequestError

MAX_DEADLINE_MS = 600_000


class Admission:
    """Bounds the items (queries, images) that wait or compute; beyond it, 429 at once."""

    def __init__(self, limit: int, *, retry_after_seconds: int = 1) -> None:
        if limit < 1:
            raise ValueError(f"limit of admitted items is {limit}, must be at least 1")
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds
        self.items = 0

    @contextmanager
    def admit(self, items: int) -> Iterator[None]:
        """Holds room for `items` while the block runs; raises `RequestError` (429) without room."""
        if self.items + items > self.limit:
            raise RequestError(
                429,
                f"{self.items} items are waiting and the limit is {self.limit}: try again in"
                f" {self.retry_after_seconds} s, or at another replica",
                code="overloaded",
                headers={"retry-after": str(self.retry_after_seconds)},
            )
        self.items += items
        try:
            yield
        finally:
            self.items -= items


def deadline_of(headers: Headers, now: float) -> float | None:
    """When this request's answer is of no more use, on the clock of `now` (seconds); None: never.

    Raises `RequestError` (400) when the header is no whole number of milliseconds.
    """
    text = headers.get(DEADLINE)
    if text is None:
        return None
    whole = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_DEADLINE_MS))
    if not whole or not 0 < int(text) <= MAX_DEADLINE_MS:
        raise RequestError(
            400,
            f"`{DEADLINE}` is {text[:40]!r}, must be whole milliseconds from 1 to"
            f" {MAX_DEADLINE_MS}",
            code="invalid_header",
            param=DEADLINE,
        )
    return now + int(text) / 1000


def expired() -> RequestError:
    """The answer to a request whose deadline passed while it waited."""
    return RequestError(
        504, f"`{DEADLINE}` passed while the request waited", code="deadline_exceeded"
    )
