"""Memory of this process, as Linux counts it in `/proc/self`."""

from __future__ import annotations

import resource
from pathlib import Path


def cap(bytes_more: int) -> None:
    """Lets the address space grow by so much from here."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + bytes_more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def forget_peak() -> None:
    """The peak counts from here: imports and the making of the data had one of their own."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_mib() -> float:
    """What is resident now."""
    return _mib("VmRSS")


def peak_mib() -> float:
    """The most that was resident since `forget_peak`."""
    return _mib("VmHWM")


def _mib(field: str) -> float:
    rows = Path("/proc/self/status").read_text().splitlines()
    return int(next(row for row in rows if row.startswith(field)).split()[1]) / 1024
