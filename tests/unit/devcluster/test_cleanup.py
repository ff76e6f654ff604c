"""What ends while it is looked at is no error: pods end while a cluster goes down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from devcluster.host import cleanup
from devcluster.host.state import Cluster, Settings
from devcluster.layout import Layout

pytestmark = pytest.mark.unit


def pods(root: Path) -> Path:
    """A cgroup of three pods of two containers each, with a process in every one."""
    number = 100
    for pod in ("pod-a", "pod-b", "pod-c"):
        for container in ("", "main", "pause"):
            folder = root / pod / container
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cgroup.procs").write_text(f"{number}\n")
            number += 1
    (root / "cgroup.procs").write_text("")
    return root


def ends_meanwhile(monkeypatch: pytest.MonkeyPatch, ended: Callable[[Path], bool]) -> None:
    """Pods are gone by the time that the first folder below their cgroup is read."""
    real = os.scandir

    def scandir(path: str | int) -> object:
        if isinstance(path, int):
            # Of the removal itself.
            return real(path)
        listed = list(real(path))
        for entry in listed:
            if ended(Path(entry.path)):
                shutil.rmtree(entry.path)
        return _Listing(listed)

    monkeypatch.setattr(os, "scandir", scandir)


class _Listing:
    def __init__(self, entries: list[os.DirEntry[str]]) -> None:
        self._entries = iter(entries)

    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> _Listing:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self._entries)


def test_processes_of_pods_that_end_meanwhile_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cgroup = pods(tmp_path / "kubepods")
    monkeypatch.setattr(cleanup, "_cgroup_folders", lambda: [cgroup])
    assert cleanup.container_processes() == list(range(100, 109))
    ends_meanwhile(monkeypatch, lambda path: path.name in ("pod-b", "pause"))
    assert cleanup.container_processes() == [100, 101, 106, 107]


def test_cgroups_that_go_by_themselves_are_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cgroup = tmp_path / "kubepods"
    (cgroup / "pod-a" / "main").mkdir(parents=True)
    (cgroup / "pod-b" / "main").mkdir(parents=True)
    monkeypatch.setattr(cleanup, "_cgroup_folders", lambda: [cgroup])
    ends_meanwhile(monkeypatch, lambda path: path.name == "pod-a")
    cleanup._remove_cgroups()
    assert not cgroup.exists()


def test_state_of_containers_that_end_meanwhile_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cleanup, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(cleanup, "CONTAINER_LOGS", tmp_path / "logs")
    layout = Cluster(Layout("t1"), Settings("node")).layout
    for name in ("c1", "c2", "c3"):
        folder = tmp_path / "run" / "runc" / "k8s.io" / name
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(f'{{"rootfs": "{layout.root}/x"}}')
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").symlink_to(layout.logs / "a.log")
    (tmp_path / "logs" / "of-another.log").symlink_to("/elsewhere/b.log")
    ends_meanwhile(monkeypatch, lambda path: path.name == "c2")
    cleanup._remove_runtime_state(layout)
    cleanup._remove_container_logs(layout)
    assert not list((tmp_path / "run" / "runc" / "k8s.io").iterdir())
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["of-another.log"]


def test_what_a_file_or_a_link_held_is_nothing_when_it_is_gone(tmp_path: Path) -> None:
    assert cleanup._text(tmp_path / "gone") == cleanup._target(tmp_path / "gone") == ""


def test_a_dead_pods_address_stays_on_the_machine() -> None:
    assert cleanup.DEAD_PODS == ("unreachable", "10.244.0.0/16")
