"""What is said of the disk before it is written to, and what a node keeps when it is full."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from devcluster import disk
from devcluster.disk import Need
from devcluster.host import base, binaries, images, needs, node
from devcluster.host.backend import HostBackend
from devcluster.host.programs import PROGRAMS
from devcluster.host.state import Cluster, Settings
from devcluster.layout import Layout
from devcluster.report import DevclusterError

pytestmark = pytest.mark.unit

CHECKED = """\
REF                TYPE          DIGEST      STATUS           SIZE              UNPACKED
localhost/pause:1  application/x sha256:aaaa complete (2/2)   1.4 MiB/1.4 MiB   true
lockstep.local/a:1 application/x sha256:bbbb incomplete (1/2) 1.0 MiB/51.9 MiB  false
lockstep.local/b:1 application/x sha256:cccc missing (0/?)    0.0 B/?           false
lockstep.local/c:1 application/x sha256:dddd complete (3/3)   51.9 MiB/51.9 MiB true
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("GOCACHE", raising=False)
    monkeypatch.delenv(disk.IGNORE, raising=False)
    return tmp_path


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Says how many GB are free."""

    def gigabytes(number: float) -> None:
        usage = shutil._ntuple_diskusage(10**12, 0, int(number * disk.GB))  # type: ignore[attr-defined]
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    return gigabytes


def test_the_need_is_said_with_its_parts(
    free: Callable[[float], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free(20)
    asked = [Need("Go's caches", 3.5, tmp_path / "a"), Need("images", 12.25, tmp_path / "b" / "c")]
    disk.check(asked)
    told = capsys.readouterr().err
    assert "up to 15.8 GB more (Go's caches 3.5, images 12.2); 20.0 GB are free" in told


def test_what_cannot_fit_is_refused_with_ways_out(
    free: Callable[[float], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(10)
    asked = [Need("images", 12.0, tmp_path)]
    with pytest.raises(DevclusterError, match=r"10\.0 GB are free .*at least 12\.0") as refused:
        disk.check(asked)
    for way in ("down --purge", "go clean", "XDG_CACHE_HOME", disk.IGNORE):
        assert way in str(refused.value)
    monkeypatch.setenv(disk.IGNORE, "1")
    disk.check(asked)


def test_a_full_disk_is_refused_though_nothing_is_built(
    free: Callable[[float], None], tmp_path: Path
) -> None:
    free(0.4)
    with pytest.raises(DevclusterError, match=r"nothing is built.*0\.4 GB are free"):
        disk.check([Need("programs", 0.0, tmp_path)])
    free(1.1)
    disk.check([Need("programs", 0.0, tmp_path)])


def test_file_systems_are_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts of 15 GB fit on two disks of 20."""
    other = Path("/proc")
    assert other.stat().st_dev != tmp_path.stat().st_dev
    usage = shutil._ntuple_diskusage(10**12, 0, 20 * disk.GB)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    disk.check([Need("a", 15.0, tmp_path), Need("b", 15.0, other)])
    with pytest.raises(DevclusterError):
        disk.check([Need("a", 15.0, tmp_path), Need("b", 15.0, tmp_path)])


def made(module: str) -> None:
    for output in PROGRAMS[module].outputs:
        path = binaries._cached(PROGRAMS[module], output)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def total(found: list[Need]) -> float:
    return sum(need.gigabytes for need in found)


def test_only_what_is_not_there_is_needed(tmp_path: Path) -> None:
    backend = HostBackend("t1")
    cold = {target: total(backend.needs(target)) for target in ("up", "images", "demo", "test")}
    assert cold["up"] < cold["images"] < cold["demo"] < cold["test"]
    for module in needs.TESTED:
        made(module)
    Layout("t1").make()
    assert total(backend.needs("up")) == 0
    everything = sum(needs.IMAGES.values())
    assert total(backend.needs("images")) == pytest.approx(everything + needs.BASE)
    base._file_system().parent.mkdir(parents=True)
    base._file_system().write_text("")
    Cluster(Layout("t1"), Settings("node")).save()
    names = [f'"lockstep.local/lockstep/{name}:dev"' for name in ("trainer", "encoder")]
    Layout("t1").loaded_images.write_text(f"[{', '.join(names)}]")
    left = everything - needs.IMAGES["trainer"] - needs.IMAGES["encoder"]
    assert total(backend.needs("images")) == pytest.approx(left)


def test_only_images_of_which_every_part_is_there_are_there() -> None:
    assert images.whole(CHECKED) == {"localhost/pause:1", "lockstep.local/c:1"}
    assert images.whole("") == set()


def test_pause_and_loaded_images_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(Layout("t1"), Settings("node"))
    cluster.layout.make()
    asked: list[tuple[str, ...]] = []

    def ctr(_: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        return subprocess.CompletedProcess(arguments, 0, CHECKED, "")

    monkeypatch.setattr(images, "_ctr", ctr)
    monkeypatch.setattr("devcluster.host.processes.Processes.alive", lambda *_: 1)
    for name in ("lockstep.local/a:1", "lockstep.local/c:1", "lockstep.local/a:1"):
        images._keep(cluster, name)
    assert images.loaded(cluster) == ["lockstep.local/a:1", "lockstep.local/c:1"]
    assert ("images", "label", "lockstep.local/a:1", images.PINNED) in asked
    assert images.lost(cluster) == [images.coredns_image(), "lockstep.local/a:1"]


def test_the_kubelet_removes_no_image_when_the_disk_is_full() -> None:
    config = node._kubelet_config(Layout("t1"))
    # Each of these signals makes it delete every image that no container uses.
    assert set(config["evictionHard"]) == {"memory.available"}  # type: ignore[call-overload]
    assert config["imageGCHighThresholdPercent"] == 100
    assert not {"evictionSoft", "imageMaximumGCAge", "mergeDefaultEvictionSettings"} & set(config)


def test_the_build_cache_has_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "binary", lambda name: Path(name))
    cluster = Cluster(Layout("t1"), Settings("node"))
    cluster.layout.make()
    node.buildkitd(cluster)
    config = (cluster.layout.config / "buildkitd.toml").read_text()
    assert f'maxUsedSpace = "{images.CACHE_BOUND_MB}MB"' in config
    asked: list[list[str]] = []
    monkeypatch.setattr(images, "_buildctl", lambda _, words, **__: asked.append(words) or 0)
    images.prune(cluster)
    bounds = [f"--keep-storage={images.CACHE_BOUND_MB}", f"--free-storage={images.KEEP_FREE_MB}"]
    assert asked == [["prune", *bounds]]
