"""Memory that the C library keeps for later. A monitor stands beside every encoder, and needs much
of it for an instant only: when it imports, and when a window closes."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Returns free pages to the system, where the C library can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
