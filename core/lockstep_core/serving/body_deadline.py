"""A body that does not come in time is answered with 408."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lockstep_core.network.limits import body_is_late
from lockstep_core.serving.errors import RequestError


class BodyDeadline:
    """ASGI layer that bounds the time of a request's body, whoever reads it.

    Its `receive` raises `RequestError` (408) `seconds` after the request began, as long as the body
    is not whole; after that it waits for ever, for the client's leaving.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self.seconds
        whole = False

        async def receive_in_time() -> Message:
            nonlocal whole
            try:
                async with asyncio.timeout_at(None if whole else deadline):
                    message = await receive()
            except TimeoutError as error:
                raise RequestError(
                    408,
                    body_is_late(self.seconds),
                    code="body_timeout",
                    headers={"connection": "close"},
                ) from error
            whole = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        await self.app(scope, receive_in_time, send)
