"""Runs a server from its config to its exit: listen, load, check, Ready, drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry, disable_created_metrics
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lockstep_core.jobs import as_failure, load_config
from lockstep_core.jobs.outcome import emit, failed
from lockstep_core.network.limits import BODY_SECONDS, HEAD_SECONDS
from lockstep_core.network.listening import listen
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.environment import SERVING_PORT
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.metrics import Metric
from lockstep_core.protocol.result import Program
from lockstep_core.serving.body_deadline import BodyDeadline
from lockstep_core.serving.connections import IDLE_SECONDS, DrainingServer, http_protocol
from lockstep_core.serving.errors import EXCEPTION_HANDLERS, RequestError, error_response
from lockstep_core.serving.identity import Identity, IdentityHolder, IdentityMiddleware
from lockstep_core.serving.lifecycle import Lifecycle, MaxConnectionAge, operational_routes
from lockstep_core.serving.observe import ObserveRequests, request_metrics
from lockstep_core.serving.startup import StartError

logger = logging.getLogger(__name__)
C = TypeVar("C", bound=Contract)
T = TypeVar("T")


@dataclass(frozen=True)
class ServerOptions:
    """How to serve, apart from what. Seconds throughout.

    `drain_seconds`: how long to go on serving, not Ready, after SIGTERM: the time that the
    endpoints need to be withdrawn everywhere. `finish_seconds` bounds what is in flight after it.
    `head_seconds` and `body_seconds`: how long a request may take to come.
    """

    host: str | None = None
    port: int = SERVING_PORT
    drain_seconds: float = 5.0
    finish_seconds: float = 20.0
    max_connection_age_seconds: float = 5.0
    connection_age_jitter: float = 0.2
    head_seconds: float = HEAD_SECONDS
    body_seconds: float = BODY_SECONDS


class Host:
    """The running server, as the program's `start` sees it."""

    def __init__(self, identity: Identity) -> None:
        self.lifecycle = Lifecycle()
        self.registry = CollectorRegistry()
        self.identity = IdentityHolder(identity)
        self._routes = operational_routes(self.lifecycle, self.registry)
        self._api: ASGIApp | None = None
        self._operational = Starlette(
            routes=self._routes, exception_handlers={**EXCEPTION_HANDLERS, 404: _still_loading}
        )

    def mount(
        self,
        identity: Identity,
        routes: Sequence[Route],
        apis: Mapping[str, str],
        *,
        requests: Metric,
        seconds: Metric,
    ) -> None:
        """Serves `routes` from now on, as `identity` (of verified manifests).

        `apis` maps the paths that are counted to their label in the metrics `requests` and
        `seconds`. Until then every path but the operational ones answers 503.
        """
        counter, histogram = request_metrics(self.registry, requests, seconds)
        app = Starlette(routes=[*self._routes, *routes], exception_handlers=EXCEPTION_HANDLERS)
        self._api = ObserveRequests(app, apis=apis, requests=counter, seconds=histogram)
        self.identity.current = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        complete = False

        async def send_watched(message: Message) -> None:
            nonlocal complete
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body")

        try:
            await (self._api or self._operational)(scope, receive, send_watched)
        except Exception:
            # Starlette logs through our handler, answers 500 and raises again. uvicorn would then
            # close the connection, perhaps under the client's next request.
            if not complete:
                raise


async def _still_loading(_request: Any, _error: Exception) -> Any:
    return error_response(
        RequestError(
            503,
            "the server is loading; /readyz says what it waits for",
            code="not_ready",
            headers={"retry-after": "1"},
        )
    )


Start = Callable[[C, Host], AbstractAsyncContextManager[None]]
"""Enter: load, verify, `host.mount(...)`, further checks; then Ready. Exit: release everything.

Raises `StartError` when the program must not serve; blocking work belongs in a thread."""


@dataclass(frozen=True)
class Server(Generic[C]):
    """A program that serves: its config, its first identity (release only) and its start."""

    program: Program
    config_type: type[C]
    release_of: Callable[[C], str]
    start: Start[C]


def run_server(
    server: Server[C], config_path: Path | None = None, options: ServerOptions | None = None
) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code of the process.

    When it cannot start, the exit code is an `ExitCode` and the termination message a `Result`.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    options = options or ServerOptions()
    try:
        config = load_config(server.config_type, config_path)
        host = Host(Identity(release=server.release_of(config)))
        loops = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        with _listen(options) as listener, loops as runner:
            runner.run(_serve(server, config, host, listener, options))
    except Exception as error:
        failure = as_failure(error)
        unexpected = failure.code is ExitCode.INTERNAL
        logger.error(
            "%s: %s", failure.reason, failure.message, exc_info=error if unexpected else None
        )
        return emit(failed(server.program, failure))
    return int(ExitCode.OK)


def _listen(options: ServerOptions) -> socket.socket:
    try:
        return listen(options.port, options.host)
    except OSError as error:
        where = f"port {options.port} of {options.host or 'all addresses'}"
        raise StartError(
            ExitCode.INTERNAL, "CannotListen", f"cannot listen on {where}: {error}"
        ) from error


def _http(host: Host, options: ServerOptions, *, clock: Callable[[], float]) -> DrainingServer:
    """The server around the application: identity, age of connections, bounds of what is sent."""
    app = IdentityMiddleware(
        MaxConnectionAge(
            BodyDeadline(host, seconds=options.body_seconds),
            lifecycle=host.lifecycle,
            clock=clock,
        ),
        holder=host.identity,
    )
    return DrainingServer(
        uvicorn.Config(
            app,
            http=http_protocol(
                host.identity,
                max_age_seconds=options.max_connection_age_seconds,
                jitter=options.connection_age_jitter,
                head_seconds=options.head_seconds,
                body_seconds=options.body_seconds,
            ),
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=int(options.finish_seconds),
        )
    )


async def _serve(
    server: Server[C], config: C, host: Host, listener: socket.socket, options: ServerOptions
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    http = _http(host, options, clock=loop.time)
    logger.info("listening on port %d", listener.getsockname()[1])
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        await _live(server.start(config, host), host, stop, _Closing(http, serving, options))
    finally:
        http.should_exit = True
        await serving


@dataclass(frozen=True)
class _Closing:
    """Ends a server: serve on while endpoints are withdrawn, then finish what is in flight."""

    http: uvicorn.Server
    serving: asyncio.Task[None]
    options: ServerOptions

    async def drain(self) -> None:
        logger.info("draining for %g s", self.options.drain_seconds)
        await asyncio.sleep(self.options.drain_seconds)
        self.http.should_exit = True
        await asyncio.wait({self.serving})


async def _live(
    program: AbstractAsyncContextManager[None], host: Host, stop: asyncio.Event, closing: _Closing
) -> None:
    """Starts the program, is Ready until `stop`, then drains. A stop while it starts ends it."""
    started = asyncio.Event()

    async def life() -> None:
        async with program:
            started.set()
            host.lifecycle.passed("start")
            logger.info("ready")
            await stop.wait()
            host.lifecycle.draining = True
            await closing.drain()

    living, stopping = asyncio.create_task(life()), asyncio.create_task(stop.wait())
    await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not started.is_set() and not living.done():
        host.lifecycle.draining = True
        living.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await living


async def in_thread(work: Callable[[], T]) -> T:
    """Runs blocking `work` beside the event loop, in a thread that does not outlive a stop.

    `asyncio.to_thread` would keep a stopping process alive until a long download ends.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast(T, value))

    def run() -> None:
        try:
            value, error = work(), None
        except BaseException as raised:
            value, error = None, raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="start", daemon=True).start()
    return await future
