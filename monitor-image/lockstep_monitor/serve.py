"""`lockstep-monitor serve`: the socket, the pages, and one loop between them."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from lockstep_core.network.listening import listen
from lockstep_core.network.pages import PageServer, Put
from lockstep_core.protocol.environment import MONITOR_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.monitoring import (
    BASELINE_PAGE,
    BETS_PAGE,
    MAX_BETS_BYTES,
    REPORT_PAGE,
    SKETCH_PAGE,
    SOCKET_NAME,
    MonitorConfig,
)
from lockstep_core.protocol.recall import RECALL_PAGE
from lockstep_monitor import answers
from lockstep_monitor.listener import Listener
from lockstep_monitor.monitor import Monitor

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25


def config_of(path: Path | None) -> MonitorConfig:
    """Of a file, or of the environment. Raises ValueError, which says what to do."""
    source = str(path) if path else MONITOR_VARIABLE
    try:
        text = path.read_text("utf-8") if path else os.environ.get(MONITOR_VARIABLE, "")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{source} cannot be read: {error}") from None
    if not text:
        raise ValueError(f"{source} is empty: give the config as JSON there, or with --config FILE")
    try:
        return MonitorConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the config"
        raise ValueError(f"{source}: `{where}`: {first['msg']}") from None


def serve(config_path: Path | None, port: int, host: str | None) -> int:
    """Serves until SIGTERM; returns the exit code."""
    try:
        config = config_of(config_path)
    except ValueError as error:
        logger.error("%s", error)
        return ExitCode.BAD_CONFIG
    monitor = Monitor(config)
    try:
        server = page_server(monitor, port, host)
        listener = Listener(Path(config.directory) / SOCKET_NAME)
    except OSError as error:
        logger.error("cannot listen: %s", error)
        return ExitCode.INTERNAL
    server.start()
    monitor.recall.start()
    logger.info("listening on port %d", server.port)
    stopping = _Stopping()
    _run(monitor, listener, stopping)
    monitor.recall.stop()
    listener.close()
    server.stop()
    return ExitCode.OK


def page_server(monitor: Monitor, port: int, host: str | None) -> PageServer:
    """Not started yet. Raises OSError when it cannot listen."""
    return PageServer(
        listen(port, host),
        {
            BASELINE_PAGE: lambda: answers.baseline(monitor),
            REPORT_PAGE: lambda: answers.report(monitor),
            "/metrics": lambda: answers.metrics(monitor),
            "/healthz": answers.healthy,
        },
        name="pages",
        puts={BETS_PAGE: Put(lambda body: answers.place_bets(monitor, body), MAX_BETS_BYTES)},
        asked={
            SKETCH_PAGE: lambda query: answers.sketches(monitor, query),
            RECALL_PAGE: lambda query: answers.recall(monitor, query),
        },
    )


class _Stopping:
    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def _run(monitor: Monitor, listener: Listener, stopping: _Stopping) -> None:
    """Until it is told to stop. One datagram or tick that fails must not end what is kept."""
    due = 0.0
    while not stopping.asked:
        try:
            datagram = listener.receive(TICK_SECONDS)
            if datagram is not None:
                monitor.take(datagram)
            if time.monotonic() >= due:
                due = time.monotonic() + TICK_SECONDS
                listener.keep()
                monitor.tick()
        except Exception:
            logger.exception("the monitor goes on")
            time.sleep(TICK_SECONDS)
