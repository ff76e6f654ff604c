"""Where to compute: an accelerator when the pod has one, else as many threads as it may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

CGROUP_ROOT = Path("/sys/fs/cgroup")


def choose_device() -> torch.device:
    """The accelerator that torch finds (CUDA, ROCm, XPU), else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def cpu_threads(cgroup_root: Path = CGROUP_ROOT) -> int:
    """CPUs that this process may use: its affinity, bounded by the cgroup's quota, at least 1.

    A pod with `limits.cpu: 2` on a node of 64 cores sees 64 of them; 64 threads that share a quota
    of 2 spend their time throttled.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _quota(cgroup_root)
    return max(1, min(usable or 1, math.ceil(quota) if quota else usable or 1))


def _quota(root: Path) -> float | None:
    """CPUs that the cgroup (version 2, then version 1) grants; None when there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        micros = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_micros = int((root / "cpu" / "cpu.cfs_period_us").read_text())
        return micros / period_micros if micros > 0 else None
    except (OSError, ValueError):
        return None
