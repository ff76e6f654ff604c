"""How many threads one inference may use: the CPU quota, not the node's cores."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def inference_threads(
    *, affinity: int | None = None, root: Path = CGROUP, environment: str | None = None
) -> int:
    """The least of the CPU quota (rounded up), the usable cores and `OMP_NUM_THREADS`; at least 1.

    More threads than the quota are throttled by the kernel: latency grows tenfold, throughput not
    at all. `environment` is the value of `OMP_NUM_THREADS` (None: the process's).
    """
    text = os.environ.get("OMP_NUM_THREADS", "") if environment is None else environment
    limits = [affinity if affinity is not None else len(os.sched_getaffinity(0))]
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
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        found = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max" of cgroup v2
    return found if found > 0 else None  # -1 of cgroup v1
