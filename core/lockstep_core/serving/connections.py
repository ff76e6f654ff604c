"""uvicorn, with our signals and ageing connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lockstep_core.network.limits import BODY_SECONDS, HEAD_SECONDS
from lockstep_core.serving.guard import GuardedProtocol
from lockstep_core.serving.identity import IdentityHolder
from lockstep_core.serving.lifecycle import RETIRE_AT

IDLE_SECONDS = 3660
"""A proxy must be the first to close an idle connection: one that the server closes just as a
request is sent on it fails that request (503 at Envoy, whose own limit is an hour). Connections end
in answers instead, by age and while draining."""


class DrainingServer(uvicorn.Server):
    """Leaves the signals to us: uvicorn's own handler would stop accepting at once, and raise the
    signal again at the end, so that the process would not exit with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def http_protocol(
    identity: IdentityHolder,
    *,
    max_age_seconds: float,
    jitter: float,
    head_seconds: float = HEAD_SECONDS,
    body_seconds: float = BODY_SECONDS,
) -> type[HttpToolsProtocol]:
    """uvicorn's HTTP protocol; each connection retires at `max_age_seconds`, give or take `jitter`
    (a share of it), so that connections made together do not end together."""

    class Protocol(GuardedProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            share = 1 + jitter * random.uniform(-1, 1)
            self.retire_at = self.loop.time() + max_age_seconds * share

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["state"][RETIRE_AT] = self.retire_at

    Protocol.identity = identity
    Protocol.head_seconds, Protocol.body_seconds = head_seconds, body_seconds
    return Protocol
