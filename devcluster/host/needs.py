"""What the commands of a first day write to the disk, and what of it is there already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from devcluster.disk import Need
from devcluster.host import base, binaries
from devcluster.host.programs import PROGRAMS
from devcluster.layout import Layout, bin_dir, state_root

CONTROL_PLANE = ("kubernetes",)
NODE = ("kubernetes", "pause", "coredns", "buildkit")
# What the end-to-end and the cluster tests build beside a node's programs.
TESTED = (*NODE, "versitygw", "metrics-server", "traefik", "envoy-gateway")
# GB of etcd, of logs, of what pods write, and of a node's own images.
CLUSTER = 1.0
# GB on the node, measured on x86_64: a layer is there as it is stored, as it is unpacked and as the
# build cache has it. The trainer's holds torch with its CUDA libraries (6.2 GB), and a build keeps
# the packages that it fetched.
IMAGES = {
    "operator": 0.8,
    "encoder": 2.3,
    "monitor": 0.9,
    "indexer": 2.2,
    "glyphs": 2.2,
    "trainer": 25.0,
}
BASE = 0.8


def _go_cache() -> Path:
    """Where Go keeps what it compiled, and nearly always its modules too."""
    return Path(os.environ.get("GOCACHE") or state_root().parents[1] / "go-build")


def programs(modules: Sequence[str]) -> list[Need]:
    """To compile the programs that are not cached, with Go's caches."""
    missing = [module for module in modules if not binaries.cached(module)]
    compiled = sum(PROGRAMS[module].gigabytes for module in missing)
    kept = 0.1 * len(missing)
    return [Need("Go's caches", compiled, _go_cache()), Need("programs", kept, bin_dir())]


def cluster(name: str) -> list[Need]:
    """The folder of a cluster, unless it is there."""
    layout = Layout(name)
    return [] if layout.root.exists() else [Need("the cluster", CLUSTER, layout.root)]


def images(name: str, loaded: Sequence[str]) -> list[Need]:
    """Images of this repository that were not loaded, and the base under them."""
    there = {image.rpartition("/")[2].partition(":")[0] for image in loaded}
    wanted = sum(size for program, size in IMAGES.items() if program not in there)
    if wanted and not base.is_made():
        wanted += BASE
    return [Need("images and their layers", wanted, Layout(name).root)]
