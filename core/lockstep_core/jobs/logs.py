"""The log goes to standard error: standard output belongs to the result."""

from __future__ import annotations

import logging
import sys

from lockstep_core.protocol.logs import JsonFormatter


def log_to_stderr() -> None:
    """Sends all logs of this process to standard error, a JSON line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
