"""How many threads may compute: what the container was given, not what the node has."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
LIMIT_VARIABLE = "OMP_NUM_THREADS"


def cpu_threads(*, root: Path = CGROUP, usable: int | None = None, limit: str | None = None) -> int:
    """The least of the CPU quota (rounded up), the usable cores and `OMP_NUM_THREADS`; at least 1.

    A pod with `limits.cpu: 2` on a node of 64 cores sees 64 of them; 64 threads that share a quota
    of 2 spend their time throttled: latency grows tenfold, throughput not at all. `usable` are the
    cores of the process' affinity and `limit` the text of `OMP_NUM_THREADS` (None: this process's);
    a text that is no whole number above 0 limits nothing, as in OpenMP.
    """
    text = os.environ.get(LIMIT_VARIABLE, "") if limit is None else limit
    limits = [_affinity() if usable is None else usable]
    if text.isascii() and text.isdigit() and int(text):
        limits.append(int(text))
    if (quota := cpu_quota(root)) is not None:
        limits.append(math.ceil(quota))
    return max(1, min(limits))


def cpu_quota(root: Path = CGROUP) -> float | None:
    """CPUs that the container may use (cgroup v2, then v1); None when there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cpus = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max" of cgroup v2
    return cpus if cpus > 0 else None  # -1 of cgroup v1


def add_threads_option(parser: argparse.ArgumentParser, meaning: str) -> None:
    """`--threads N`; 0, the default, becomes `cpu_threads()`."""
    parser.add_argument(
        "--threads",
        type=_thread_count,
        default="0",
        metavar="N",
        help=f"{meaning} (0: the least of the container's CPU quota, its cores and"
        f" {LIMIT_VARIABLE})",
    )


def _thread_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 1024")
    return int(text) or cpu_threads()


def _affinity() -> int:
    # Not every platform on which a person tries a program has affinities.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
