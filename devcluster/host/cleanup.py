"""Clear what a node leaves on the machine, after a stop or after an unclean death.

Everything is found by what the kernel says (processes, cgroups, mounts), not by
pid files: those may be gone or lie. Pods end meanwhile, so what was listed may be
gone when it is looked at: that is what was wanted, never an error.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from devcluster.host.processes import kill_all, start_ticks
from devcluster.host.state import POD_CIDR, Cluster
from devcluster.layout import Layout

NFT_TABLE = "lockstep-devcluster"
# A pod has a route of its own. What is left of its network must not go out by the default route,
# where a dead pod's address is nobody's and a connection waits for its timeout.
DEAD_PODS = ("unreachable", POD_CIDR)
# The kubelet's own, and the one that BuildKit's containers are given.
CGROUPS = ("kubepods", "lockstep-buildkit")
SHIM = "containerd-shim-runc-v2"
# Beginnings of the names of programs that are a `HostProcess`, each with a pid file of its own.
HOST_PROCESSES = ("versitygw-", "traefik-", "metrics-server-", "envoy-", "prometheus")
RUNTIME = Path("/run/containerd")
CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")


def command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _executable(pid: int) -> str:
    # A program that was rebuilt while it ran has " (deleted)" behind its name.
    return _target(Path(f"/proc/{pid}/exe")).removesuffix(" (deleted)")


def processes_of(layout: Layout) -> list[int]:
    """Programs of this cluster: one of ours by its file, with this cluster's folder in
    its command line (an editor or a `tail` on the folder is neither)."""
    mark = f"{layout.root}/"
    ours = ("kubernetes-", "buildkitd-", "containerd")
    return [
        pid
        for pid in _pids()
        if (Path(_executable(pid)).name.startswith(ours) or _is_host_process(pid))
        and any(mark in argument for argument in command_line(pid))
    ]


def _is_host_process(pid: int) -> bool:
    return Path(_executable(pid)).name.startswith(HOST_PROCESSES) or _lists_targets(pid)


def _lists_targets(pid: int) -> bool:
    return command_line(pid)[1:3] == ["-m", "devcluster.host.targets"]


def shims(layout: Layout) -> list[int]:
    """Supervisors of the node's containers; they outlive containerd by design."""
    return [
        pid
        for pid in processes_of(layout)
        if Path(_executable(pid)).name == SHIM
        and str(layout.containerd_socket) in command_line(pid)
    ]


def _is_node_program(pid: int) -> bool:
    """Whether a program of ours belongs to the node: the binary tells, and where one
    binary is many programs, the first argument."""
    name = Path(_executable(pid)).name
    if name.startswith("kubernetes-"):
        return command_line(pid)[1:2] in (["kubelet"], ["kube-proxy"])
    return name.startswith(("containerd", "buildkitd-"))


def _pids() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and start_ticks(int(entry.name)) is not None:
            yield int(entry.name)


def _text(path: Path) -> str:
    """What a file holds; nothing when it is gone."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _target(link: Path) -> str:
    """Where a link leads; nothing when it is gone, or none."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _found(folder: Path, pattern: str) -> list[Path]:
    """Paths below a folder. The standard library's own `glob` knows that folders may go."""
    return [folder / name for name in glob.glob(pattern, root_dir=folder)]  # noqa: PTH207


def _folders_below(folder: Path) -> list[Path]:
    """A folder and all below it, the outermost first. A glob fails when one of them goes."""
    return [Path(name) for name, _, _ in os.walk(folder)]


def _cgroup_folders() -> list[Path]:
    """The node's cgroups: one hierarchy with cgroup v2, one per controller with v1."""
    root = Path("/sys/fs/cgroup")
    candidates = [root / name for name in CGROUPS]
    candidates += [root / found for name in CGROUPS for found in _found(root, f"*/{name}")]
    return [folder for folder in candidates if folder.is_dir()]


def container_processes() -> list[int]:
    """Everything that runs in a pod or a build, whoever its parent is by now."""
    pids: set[int] = set()
    for top in _cgroup_folders():
        for folder in _folders_below(top):
            pids.update(int(line) for line in _text(folder / "cgroup.procs").split())
    return sorted(pids)


def _remove_cgroups() -> None:
    for folder in _cgroup_folders():
        for path in reversed(_folders_below(folder)):
            try:
                path.rmdir()
            except OSError:
                continue


def mounts_below(folder: Path) -> list[str]:
    """Mount points at and under a folder, the innermost first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point == str(folder) or point.startswith(f"{folder}/"):
            points.append(point)
    return points[::-1]


def unmount(folder: Path) -> None:
    """Unmount everything at and below a folder, at once for users, lazily for the kernel."""
    for point in mounts_below(folder):
        subprocess.run(["umount", "-l", point], capture_output=True)


def _remove_network(cluster: Cluster) -> None:
    tables = [("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("ip", NFT_TABLE)]
    for family, table in tables:
        subprocess.run(["nft", "delete", "table", family, table], capture_output=True)
    subprocess.run(["ip", "route", "del", *DEAD_PODS], capture_output=True)
    # Addresses of pods that are no more; without this every crash leaks some.
    shutil.rmtree(cluster.layout.run / "ipam", ignore_errors=True)
    for result in _found(CNI_RESULTS, "*"):
        # Each names the network namespace, which is in our folder if it is ours.
        if str(cluster.layout.root) in _text(result):
            result.unlink(missing_ok=True)


def _remove_runtime_state(layout: Layout) -> None:
    """What runc and the shims keep outside of the cluster's folder."""
    ids = set()
    for state in _found(RUNTIME / "runc", "*/*/state.json"):
        if str(layout.root) in _text(state):
            ids.add(state.parent.name)
            shutil.rmtree(state.parent, ignore_errors=True)
    for pipe in _found(RUNTIME / "fifo", "*/*-stdout"):
        if pipe.name.removesuffix("-stdout") in ids:
            shutil.rmtree(pipe.parent, ignore_errors=True)
    for socket in _stale_shim_sockets():
        socket.unlink(missing_ok=True)


def _stale_shim_sockets() -> list[Path]:
    """Sockets that no process listens on; the kernel lists the live ones by path."""
    live = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()}
    return [path for path in _found(RUNTIME / "s", "*") if str(path) not in live]


def _remove_container_logs(layout: Layout) -> None:
    for link in _found(CONTAINER_LOGS, "*.log"):
        if str(layout.root) in _target(link):
            link.unlink(missing_ok=True)


def clear_node(cluster: Cluster) -> None:
    """Leave the machine as a reboot would: containers, mounts, network and sockets gone.

    What containerd and the kubelet wrote stays, so the next start finds images and
    treats the old containers as it does after a reboot.
    """
    layout = cluster.layout
    kill_all(shims(layout), grace=0)
    # A container may fork between the listing and the kill.
    deadline = time.monotonic() + 10
    while (left := container_processes()) and time.monotonic() < deadline:
        kill_all(left, grace=0)
    kill_all(filter(_is_node_program, processes_of(layout)), grace=3)
    for folder in (layout.kubelet_root, layout.containerd_state, layout.containerd_root):
        unmount(folder)
    unmount(layout.buildkit_root)
    _remove_network(cluster)
    _remove_cgroups()
    _remove_runtime_state(layout)
    _remove_container_logs(layout)
    shutil.rmtree(layout.containerd_state, ignore_errors=True)
    for path in layout.run.glob("*.sock*"):
        path.unlink(missing_ok=True)


def end_strays(cluster: Cluster) -> None:
    """End programs that no pid file tells of any more: they hold ports and databases.

    Shims have no pid file, and every `HostProcess` keeps its own: both stay.
    """
    known = {cluster.processes.alive(name) for name in cluster.processes.names()}
    known.update(shims(cluster.layout))
    strays = [
        pid
        for pid in processes_of(cluster.layout)
        if pid not in known and not _is_host_process(pid)
    ]
    kill_all(strays, grace=2)


def leftovers(cluster: Cluster) -> list[str]:
    """What is still there of a cluster that should be down, in words."""
    left = [f"process {pid}" for pid in processes_of(cluster.layout)]
    left += [f"mount {point}" for point in mounts_below(cluster.layout.root)]
    if cluster.has_node:
        left += [f"process {pid} in a pod" for pid in container_processes()]
    return left
