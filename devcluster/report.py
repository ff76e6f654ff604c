"""What the person at the terminal sees: step lines, and errors that say what to do."""

from __future__ import annotations

import sys
import time

_STARTED = time.monotonic()


class DevclusterError(Exception):
    """A failure whose message is meant for the person who typed the command."""


def step(message: str) -> None:
    """Print one progress line on stderr, so that stdout stays for answers."""
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {message}", file=sys.stderr, flush=True)
