"""What a cluster was brought up with, kept in its folder so that `up` is repeatable."""

from __future__ import annotations

import dataclasses
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from devcluster.host.processes import Processes
from devcluster.layout import Layout
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

    def save(self) -> None:
        text = json.dumps(dataclasses.asdict(self.settings), indent=2)
        self.layout.settings.write_text(text + "\n")


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


def choose_ports(settings: Settings, *, wanted: int | None) -> None:
    """Keep the ports of the last time where they are free; pick others where not."""
    if wanted is not None:
        if not port_is_free(wanted):
            raise DevclusterError(f"port {wanted} is in use")
        settings.ports["apiserver"] = wanted
    elif settings.mode == "node":
        settings.ports.setdefault("apiserver", 6443)
    for name in PORTS:
        if name not in settings.ports or not port_is_free(settings.ports[name]):
            settings.ports[name] = _free_port(set(settings.ports.values()))


def _free_port(taken: set[int]) -> int:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def write_json(path: Path, value: object) -> Path:
    """Write a configuration file (every YAML reader reads JSON), if it changes.

    kube-proxy ends when its file is written, be it with the same content.
    """
    text = json.dumps(value, indent=2) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path
