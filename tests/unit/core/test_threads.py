"""Threads follow quota (both versions of the cgroup's files), affinity and OMP_NUM_THREADS."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import pytest

from lockstep_core.threads import add_threads_option, cpu_quota, cpu_threads

pytestmark = pytest.mark.unit

V1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "9900000 100000\n"}, 99.0),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "100000 0\n"}, None),
        ({"cpu.max": "\n"}, None),
        ({V1[0]: "50000\n", V1[1]: "100000\n"}, 0.5),
        ({V1[0]: "-1\n", V1[1]: "100000\n"}, None),
        ({V1[0]: "50000\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_bounds_the_threads(
    files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_quota(tmp_path) == quota
    expected = 8 if quota is None else min(8, math.ceil(quota))
    assert cpu_threads(root=tmp_path, usable=8, limit="") == expected
    assert cpu_threads(root=tmp_path, usable=1, limit="") == 1


@pytest.mark.parametrize(
    ("limit", "expected"), [("3", 3), ("64", 8), ("", 8), ("0", 8), ("-1", 8), ("4,2", 8), ("²", 8)]
)
def test_omp_num_threads_bounds_them_too(limit: str, expected: int, tmp_path: Path) -> None:
    assert cpu_threads(root=tmp_path, usable=8, limit=limit) == expected


def test_the_process_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert cpu_threads(root=tmp_path) == len(os.sched_getaffinity(0))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cpu_threads(root=tmp_path) == 1


def test_the_option_takes_whole_numbers_only(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_threads_option(parser, "threads that embed")
    assert parser.parse_args(["--threads", "7"]).threads == 7
    assert parser.parse_args(["--threads", "0"]).threads == cpu_threads()
    assert parser.parse_args([]).threads == cpu_threads()
    for wrong in ("-3", "two", "1.5", "99999"):
        with pytest.raises(SystemExit):
            parser.parse_args([f"--threads={wrong}"])
        assert wrong in capsys.readouterr().err
