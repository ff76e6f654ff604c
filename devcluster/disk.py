"""Disk space: what a command may write is said before it starts, and refused when it cannot fit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster.report import DevclusterError, step

GB = 10**9
# GB that any command wants free: below, etcd and the kubelet fail in ways that name no cause.
FLOOR = 1.0
IGNORE = "DEVCLUSTER_IGNORE_DISK"
REPOSITORY = Path(__file__).resolve().parents[1]
# GB of a Python environment by the mark that `make` leaves in it, and for which target it is made.
_ENVIRONMENTS = {"demo": (".demo", 0.6), "test": (".dev", 6.5)}


@dataclass(frozen=True)
class Need:
    """What one part of a command writes at most, in GB, and below which folder."""

    what: str
    gigabytes: float
    folder: Path


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there already."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def free_gb(folder: Path) -> float:
    """GB that are free where a folder is, or will be."""
    return shutil.disk_usage(_existing(folder)).free / GB


def environments(target: str) -> list[Need]:
    """The Python environment of a target of `make`, unless it is there."""
    mark, size = _ENVIRONMENTS.get(target, ("", 0.0))
    there = not mark or (REPOSITORY / ".venv" / mark).exists()
    return [] if there else [Need("Python packages", size, REPOSITORY)]


def check(needs: Sequence[Need]) -> None:
    """Say what is needed on each file system; raise DevclusterError where less is free."""
    by_device: dict[int, list[Need]] = {}
    for need in needs:
        by_device.setdefault(_existing(need.folder).stat().st_dev, []).append(need)
    for together in by_device.values():
        _check_one(together)


def _check_one(needs: Sequence[Need]) -> None:
    folder = needs[0].folder
    free = free_gb(folder)
    counted = [need for need in needs if need.gigabytes >= 0.05]
    wanted = sum(need.gigabytes for need in counted)
    parts = ", ".join(f"{need.what} {need.gigabytes:.1f}" for need in counted) or "nothing is built"
    said = f"disk: up to {wanted:.1f} GB more ({parts}); {free:.1f} GB are free at {folder}"
    if free < max(wanted, FLOOR) and not os.environ.get(IGNORE):
        raise DevclusterError(
            f"{said}, at least {max(wanted, FLOOR):.1f} are wanted. Make room (`down --purge` "
            "frees a cluster's images and build cache, `go clean -cache -modcache` Go's), set "
            "XDG_CACHE_HOME, GOCACHE and GOMODCACHE to folders of a larger disk, or, to try it "
            f"all the same, {IGNORE}=1"
        )
    if counted:
        step(said)
