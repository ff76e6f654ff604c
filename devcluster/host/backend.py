"""The backend for a machine without Docker: the verbs, done with processes of the host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devcluster import disk, volumes
from devcluster.backend import Addon, Build, UpOptions
from devcluster.host import (
    addons,
    binaries,
    certs,
    cleanup,
    controlplane,
    images,
    needs,
    node,
    packages,
    state,
)
from devcluster.host.api import Api
from devcluster.host.envoy import EnvoyGateway
from devcluster.host.gateway import Gateway
from devcluster.host.metrics import MetricsServer
from devcluster.host.processes import resident_mib
from devcluster.host.prometheus import Prometheus
from devcluster.host.s3 import S3
from devcluster.host.state import Cluster, Mode, Settings
from devcluster.layout import Layout, clusters_dir, exclusive
from devcluster.report import DevclusterError, step

ADDONS: dict[str, type[Gateway] | type[EnvoyGateway] | type[Prometheus] | type[MetricsServer]] = {
    "gateway": Gateway,
    "envoy-gateway": EnvoyGateway,
    "prometheus": Prometheus,
    "metrics-server": MetricsServer,
}


class HostBackend:
    """A cluster of host processes."""

    def __init__(self, name: str) -> None:
        self._layout = Layout(name)

    def up(self, options: UpOptions) -> None:
        mode: Mode = "control-plane" if options.control_plane_only else "node"
        with exclusive(f"cluster-{self._layout.name}"):
            known = state.load(self._layout)
            if known and known.settings.mode != mode:
                raise DevclusterError(
                    f"cluster {self._layout.name!r} is a {known.settings.mode} cluster: "
                    "use another --name, or `down --purge` first"
                )
            disk.check(needs.programs(_modules(mode)) + needs.cluster(self._layout.name))
            if known and not options.fresh and _as_asked(known, options) and _healthy(known):
                MetricsServer(known).forget()
                if known.has_node and not Api(known).volume_usable(volumes.SHIPPED):
                    self.create_volume(volumes.SHIPPED, None)
                if not _tell_of_lost_images(known):
                    step(f"cluster {self._layout.name} is healthy")
                return
            _build_programs(mode)
            cluster = known or Cluster(self._layout, Settings(mode))
            self._start(cluster, options)
            _tell_of_lost_images(cluster)
            step(f"cluster {self._layout.name} is up; kubeconfig: {self._layout.kubeconfig}")

    def _start(self, cluster: Cluster, options: UpOptions) -> None:
        if cluster.has_node:
            _check_node_is_possible(cluster)
        if options.fresh:
            _stop(cluster)
            shutil.rmtree(cluster.layout.etcd, ignore_errors=True)
            cluster.layout.audit_log.unlink(missing_ok=True)
        cluster.layout.make()
        cleanup.end_strays(cluster)
        settings = cluster.settings
        settings.audit = settings.audit or options.audit or not cluster.has_node
        if any(cluster.processes.alive(name) for name in controlplane.ORDER):
            if options.port not in (None, settings.ports["apiserver"]):
                raise DevclusterError(f"it runs at {cluster.server}: `down` before another --port")
        else:
            if cluster.has_node:
                settings.node_ip = state.own_address()
            state.reserve_ports(cluster, wanted=options.port)
        cluster.save()
        certs.ensure(cluster)
        new_server = controlplane.start(cluster)
        MetricsServer(cluster).forget()
        if cluster.has_node:
            node.start(cluster, new_server=new_server)
            self.create_volume(volumes.SHIPPED, None)

    def down(self, *, purge: bool) -> None:
        with exclusive(f"cluster-{self._layout.name}"):
            cluster = state.load(self._layout)
            if cluster is None:
                step(f"no cluster {self._layout.name}")
                return
            step(f"stopping cluster {self._layout.name}")
            _stop(cluster)
            S3(self._layout).down()
            for addon in ADDONS.values():
                addon(cluster).stop()
            if left := cleanup.leftovers(cluster):
                raise DevclusterError("still there: " + ", ".join(left[:10]))
            if purge:
                shutil.rmtree(self._layout.root)
            step(f"cluster {self._layout.name} is down")

    def status(self) -> dict[str, Any]:
        cluster = state.load(self._layout)
        known = {"name": self._layout.name, "face": "host"}
        if cluster is None:
            return {**known, "state": "absent"}
        processes = [_process(cluster, name) for name in _programs(cluster)]
        running = sum(1 for process in processes if process["pid"])
        lost = images.lost(cluster) if cluster.has_node else []
        settings, healthy = cluster.settings, _healthy(cluster) and not lost
        node_ready = Api(cluster).node_ready(cluster.node_name) if running else False
        return {
            **known,
            "mode": settings.mode,
            "state": "running" if healthy else "degraded" if running else "stopped",
            "nodeReady": node_ready if cluster.has_node else None,
            "node": cluster.node_name if cluster.has_node else None,
            "nodeIP": settings.node_ip if cluster.has_node else None,
            "lostImages": lost,
            "diskFreeGB": round(disk.free_gb(self._layout.root), 1),
            "server": cluster.server,
            "kubeconfig": str(self._layout.kubeconfig),
            "auditLog": str(self._layout.audit_log) if settings.audit else None,
            "memoryMiB": sum(process["memoryMiB"] for process in processes),
            "processes": processes,
            "s3": S3(self._layout).endpoint(),
            **{name: addon(cluster).endpoint() for name, addon in ADDONS.items()},
        }

    def needs(self, target: str) -> list[disk.Need]:
        name = self._layout.name
        found = disk.environments(target)
        found += needs.programs(needs.TESTED if target == "test" else needs.NODE)
        found += needs.cluster(name)
        if target != "up":
            cluster = state.load(self._layout)
            found += needs.images(name, images.loaded(cluster) if cluster else [])
        return found

    def kubeconfig(self) -> Path:
        return state.existing(self._layout).layout.kubeconfig

    def load(self, build: Build) -> None:
        cluster = self._with_node()
        images.build(
            cluster,
            image=build.image,
            file=build.file,
            context=build.context,
            build_args=build.build_args,
        )

    def images(self) -> Sequence[Any]:
        return images.listing(self._with_node())

    def create_volume(self, name: str, claim: str | None) -> None:
        cluster = self._with_node()
        folder = self._layout.volumes / name
        folder.mkdir(exist_ok=True)
        os.chown(folder, volumes.OWNER, volumes.OWNER)
        volumes.create(_Kubectl(cluster), name, str(folder), claim)

    def delete_volume(self, name: str) -> None:
        volumes.delete(_Kubectl(self._with_node()), name)
        shutil.rmtree(self._layout.volumes / name, ignore_errors=True)

    def addon(self, name: str) -> Addon:
        return ADDONS[name](state.existing(self._layout))

    def _with_node(self) -> Cluster:
        cluster = state.existing(self._layout)
        if not cluster.has_node:
            raise DevclusterError(f"cluster {self._layout.name!r} has no node")
        if cluster.processes.alive("containerd") is None:
            raise DevclusterError(f"cluster {self._layout.name!r} is down: run `up`")
        return cluster


class _Kubectl:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        return addons.kubectl(self._cluster, *arguments, stdin=stdin)


def _programs(cluster: Cluster) -> tuple[str, ...]:
    return controlplane.names(cluster) + (node.ORDER if cluster.has_node else ())


def _process(cluster: Cluster, name: str) -> dict[str, Any]:
    pid = cluster.processes.alive(name)
    memory = resident_mib(pid) if pid else 0
    log = str(cluster.processes.log(name))
    return {"name": name, "pid": pid, "memoryMiB": memory, "log": log}


def _as_asked(cluster: Cluster, options: UpOptions) -> bool:
    settings = cluster.settings
    port_fits = options.port in (None, settings.ports.get("apiserver"))
    as_asked = port_fits and (settings.audit or not options.audit)
    return as_asked and not controlplane.outdated(cluster)


def _healthy(cluster: Cluster) -> bool:
    if any(cluster.processes.alive(name) is None for name in _programs(cluster)):
        return False
    api = Api(cluster)
    if not cluster.has_node:
        return api.ready()
    # Without them no pod starts, however ready the node is.
    whole = not set(images.lost(cluster)) & set(images.static())
    return whole and api.ready() and api.node_ready(cluster.node_name)


def _tell_of_lost_images(cluster: Cluster) -> bool:
    """Say which loaded images are gone; True when some are. Only their Dockerfiles bring them."""
    lost = images.lost(cluster) if cluster.has_node else []
    if lost:
        step(
            f"cluster {cluster.layout.name} runs, but no pod of these images can start, as they "
            f"are gone from the node: {', '.join(lost)}. `load` them again (`make images`)"
        )
    return bool(lost)


def _stop(cluster: Cluster) -> None:
    if cluster.has_node:
        node.stop(cluster)
    controlplane.stop(cluster)
    cleanup.end_strays(cluster)


def _build_programs(mode: Mode) -> None:
    """All of them before anything starts: a cluster that waits for a compiler is slow."""
    if mode == "node":
        if os.geteuid() != 0:
            raise DevclusterError("a node needs root; --control-plane-only does not")
        packages.ensure()
    for module in _modules(mode):
        binaries.ensure(module)
    binaries.kubectl()


def _modules(mode: Mode) -> tuple[str, ...]:
    return needs.NODE if mode == "node" else needs.CONTROL_PLANE


def _check_node_is_possible(cluster: Cluster) -> None:
    # containerd adds ".ttrpc" to one of them; the kernel takes 107 characters.
    if len(f"{cluster.layout.containerd_socket}.ttrpc") > 107:
        raise DevclusterError(f"{cluster.layout.run} is too deep for Unix sockets")
    for folder in sorted(clusters_dir().iterdir()) if clusters_dir().exists() else ():
        other = state.load(Layout(folder.name)) if folder != cluster.layout.root else None
        if other and other.has_node and other.processes.alive("kubelet"):
            raise DevclusterError(
                f"cluster {folder.name!r} has a node already, and a machine holds one: "
                f"`python3 -m devcluster down --name {folder.name}`"
            )
