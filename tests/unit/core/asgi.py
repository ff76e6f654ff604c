"""ASGI without a network: a request's scope, a call, an application that lies about its space."""

from __future__ import annotations

from typing import Any

from starlette.types import Message, Receive, Scope, Send

from lockstep_core.protocol import headers

SPACE, OTHER = "a" * 12, "b" * 12


def scope_with(*sent: tuple[str, str], **state: Any) -> Scope:
    raw = [(name.encode(), value.encode()) for name, value in sent]
    return {"type": "http", "path": "/x", "method": "GET", "headers": raw, "state": state}


async def call(app: Any, scope: Scope) -> tuple[int, dict[str, str], bytes]:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], found, messages[1]["body"]


async def impostor(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that claims to be of another space."""
    raw = [(headers.SPACE.encode(), OTHER.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": b"answered"})
