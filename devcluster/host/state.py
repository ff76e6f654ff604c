"""What a cluster was brought up with, kept in its folder so that `up` is repeatable."""

from __future__ import annotations

import dataclasses
import json
import random
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from devcluster.host.processes import Processes
from devcluster.layout import Layout, clusters_dir, exclusive
from devcluster.report import DevclusterError

Mode = Literal["node", "control-plane"]
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
POD_CIDR = "10.244.0.0/16"
# The part of POD_CIDR that the only node hands out.
NODE_POD_CIDR = "10.244.0.0/24"
PORTS = ("apiserver", "etcd", "etcd-peer", "controller-manager", "scheduler")


@dataclass
class Settings:
    """Choices that outlive one command."""

    mode: Mode
    node_ip: str = "127.0.0.1"
    audit: bool = False
    ports: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """One cluster of host processes."""

    layout: Layout
    settings: Settings

    @property
    def has_node(self) -> bool:
        return self.settings.mode == "node"

    @property
    def processes(self) -> Processes:
        return Processes(self.layout.run, self.layout.logs)

    @property
    def node_name(self) -> str:
        return f"{self.layout.name}-node"

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.settings.ports['apiserver']}"

    def check_runs(self) -> None:
        """Refuse, with the way out, when there is no API server to work with."""
        if self.processes.alive("kube-apiserver") is None:
            raise DevclusterError(f"cluster {self.layout.name!r} is down: run `up`")

    def save(self) -> None:
        text = json.dumps(dataclasses.asdict(self.settings), indent=2)
        # Whole or not at all: other commands read it without a lock.
        scratch = self.layout.settings.with_suffix(".part")
        scratch.write_text(text + "\n")
        scratch.replace(self.layout.settings)


def load(layout: Layout) -> Cluster | None:
    """The cluster of that name, None when it was never brought up."""
    try:
        return Cluster(layout, Settings(**json.loads(layout.settings.read_text())))
    except FileNotFoundError:
        return None


def existing(layout: Layout) -> Cluster:
    """The cluster of that name, or an error that says how to make it."""
    cluster = load(layout)
    if cluster is None:
        raise DevclusterError(f"no cluster {layout.name!r}: run `python3 -m devcluster up`")
    return cluster


def own_address() -> str:
    """The address that this machine sends from (nothing is sent to find out)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # An address reserved for documentation: any route will do.
            probe.connect(("198.51.100.1", 9))
        except OSError as error:
            raise DevclusterError("a node needs a network interface with a route") from error
        return str(probe.getsockname()[0])


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


def reserve_ports(cluster: Cluster, *, wanted: int | None) -> None:
    """Keep the ports of the last time where they are free; pick others where not.

    Saved under a lock, so that clusters that come up at the same time share none.
    """
    ports = cluster.settings.ports
    with exclusive("ports"):
        others = _ports_of_others(cluster.layout)
        if wanted is not None:
            if wanted in others or not port_is_free(wanted):
                raise DevclusterError(f"port {wanted} is in use")
            ports["apiserver"] = wanted
        elif cluster.has_node:
            ports.setdefault("apiserver", 6443)
        for name in PORTS:
            kept = ports.get(name)
            if kept is None or kept in others or not port_is_free(kept):
                ports[name] = free_port(others.union(ports.values()))
        cluster.save()


def _ports_of_others(layout: Layout) -> set[int]:
    clusters = (load(Layout(path.parent.name)) for path in clusters_dir().glob("*/cluster.json"))
    return {
        port
        for cluster in clusters
        if cluster and cluster.layout != layout
        for port in cluster.settings.ports.values()
    }


def free_port(taken: set[int]) -> int:
    """Below the ports that the kernel gives to outgoing connections and node ports: one
    of those may be taken between this choice and its use."""
    while True:
        port = random.randrange(20000, 30000)
        if port not in taken and port_is_free(port):
            return port


def write_json(path: Path, value: object) -> Path:
    """Write a configuration file (every YAML reader reads JSON), if it changes.

    kube-proxy ends when its file is written, be it with the same content.
    """
    text = json.dumps(value, indent=2) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path
