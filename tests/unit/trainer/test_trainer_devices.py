"""Threads follow the quota of the cgroup, in both versions of its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockstep_trainer.devices import choose_device, cpu_threads

pytestmark = pytest.mark.unit

USABLE = len(os.sched_getaffinity(0))


def cgroup(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_max", ".max").replace("cfs", "cpu.cfs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, USABLE),
        ({"cpu_max": "max 100000\n"}, USABLE),
        ({"cpu_max": "50000 100000\n"}, 1),
        ({"cpu_max": "100000 100000\n"}, 1),
        ({"cpu_max": "9900000 100000\n"}, USABLE),
        ({"cpu__cfs_quota_us": "-1\n", "cpu__cfs_period_us": "100000\n"}, USABLE),
        ({"cpu__cfs_quota_us": "20000\n", "cpu__cfs_period_us": "100000\n"}, 1),
    ],
)
def test_threads_are_bounded_by_quota_and_affinity(tmp_path, files, wanted):
    assert cpu_threads(cgroup(tmp_path, **files)) == wanted


def test_a_device_is_always_found():
    assert choose_device().type in {"cpu", "cuda", "xpu", "mps"}
