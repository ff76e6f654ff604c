"""Command-line options that both servers have, checked before anything is loaded."""

from __future__ import annotations

import argparse
import math

from lockstep_core.protocol.environment import SERVING_PORT
from lockstep_core.serving.serve import ServerOptions


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Where to listen, and for how long connections and the server itself last."""
    defaults = ServerOptions()
    parser.add_argument("--host", help="address to listen on (all of them)")
    parser.add_argument(
        "--port", type=_port, default=SERVING_PORT, help="%(default)s; 0: any free one"
    )
    parser.add_argument(
        "--drain-seconds",
        type=_seconds,
        default=defaults.drain_seconds,
        help="serve on, not Ready, for so long after SIGTERM (%(default)s)",
    )
    parser.add_argument(
        "--max-connection-age-seconds",
        type=_seconds,
        default=defaults.max_connection_age_seconds,
        help="end keep-alive connections older than this (%(default)s)",
    )


def server_options(given: argparse.Namespace) -> ServerOptions:
    """The options of `add_server_options` as they were given."""
    return ServerOptions(
        host=given.host,
        port=given.port,
        drain_seconds=given.drain_seconds,
        max_connection_age_seconds=given.max_connection_age_seconds,
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not (math.isfinite(seconds) and seconds >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 on")
    return seconds
