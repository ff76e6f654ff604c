"""How many threads may compute."""

from __future__ import annotations

import os


def thread_count(wanted: int = 0) -> int:
    """`wanted`, or for 0 OMP_NUM_THREADS (a pod sets it to its CPU limit), or the usable CPUs."""
    if wanted > 0:
        return wanted
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) > 0 else len(os.sched_getaffinity(0))
