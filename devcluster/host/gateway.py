"""A real Gateway API: its kinds, and Traefik as the implementation that serves them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from devcluster.host import addons, binaries
from devcluster.host.api import Api
from devcluster.host.host_process import HostProcess, answers
from devcluster.host.state import Cluster, write_json
from devcluster.report import DevclusterError, step

NAME = "traefik"
DEFAULT_PORT = 9880
CLASS = "traefik"
CONTROLLER = "traefik.io/gateway-controller"
GATEWAY = "lockstep"
NAMESPACE = "lockstep-gateway"
_API = "gateway.networking.k8s.io/v1"


def manifests(
    port: int, *, name: str = CLASS, controller: str = CONTROLLER, namespace: str = NAMESPACE
) -> list[dict[str, Any]]:
    """The class and the Gateway, whose listener takes routes of every namespace."""
    listener = {
        "name": "web",
        "protocol": "HTTP",
        # Traefik joins a listener and its own entry point by the port.
        "port": port,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": _API,
            "kind": "GatewayClass",
            "metadata": {"name": name},
            "spec": {"controllerName": controller},
        },
        {
            "apiVersion": _API,
            "kind": "Gateway",
            "metadata": {"name": GATEWAY, "namespace": namespace},
            "spec": {"gatewayClassName": name, "listeners": [listener]},
        },
    ]


def configuration(address: str) -> dict[str, Any]:
    """Traefik's own settings, for a listener at `IP:PORT`.

    The provider of Traefik's own kinds is there because the Gateway provider of this version
    has no RequestMirror: a route mirrors by a backend of kind TraefikService.
    """
    throttle = "100ms"
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO"},
        "entryPoints": {"web": {"address": address}},
        "providers": {
            "providersThrottleDuration": throttle,
            "kubernetesGateway": {"statusAddress": {"ip": address.rpartition(":")[0]}},
            "kubernetesCRD": {},
        },
    }


def install(cluster: Cluster, *, bundles: Sequence[str]) -> None:
    """Install the kinds of the Gateway API, and those of an implementation."""
    step("installing the kinds of the Gateway API")
    files = [f"--filename={binaries.bundle(name)}" for name in ("gateway-crds", *bundles)]
    addons.kubectl(cluster, *addons.APPLY, *files)
    addons.kubectl(cluster, "wait", "--for=condition=Established", "--timeout=60s", *files)


def apply(cluster: Cluster, objects: list[dict[str, Any]]) -> None:
    """Apply a class and its Gateway, also while the namespace of an earlier one still ends."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return addons.apply_objects(cluster, objects)
        except DevclusterError as error:
            # `down` leaves the namespace to end by itself.
            if "being terminated" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)


def find(cluster: Cluster, path: str) -> dict[str, Any] | None:
    """An object of the Gateway API."""
    raw: dict[str, Any] | None = Api(cluster).get(f"/apis/{_API}/{path}")
    return raw


def programmed(gateway: dict[str, Any] | None) -> bool:
    """Whether a Gateway's status says Accepted and Programmed of its newest spec."""
    if gateway is None:
        return False
    true = {
        condition["type"]
        for condition in gateway.get("status", {}).get("conditions", [])
        if condition["status"] == "True"
        and condition.get("observedGeneration") == gateway["metadata"]["generation"]
    }
    return {"Accepted", "Programmed"} <= true


class Gateway:
    """The Gateway of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._server = HostProcess(cluster.layout, NAME, folder="gateway")

    def endpoint(self) -> str | None:
        """URL of its listener, None when it does not run."""
        address = self._server.address()
        return address and f"http://{address}"

    def up(self, *, port: int) -> str:
        """Install the kinds, start Traefik unless it runs, wait until the Gateway is
        Programmed; its URL."""
        self._cluster.check_runs()
        install(self._cluster, bundles=["traefik-crds"])
        self._server.make()
        address = self._server.runs_already() or self._start(port)
        apply(self._cluster, manifests(int(address.rpartition(":")[2])))
        step("waiting until the Gateway is Programmed")
        self._server.processes.wait(
            "the Gateway is not Programmed",
            lambda: programmed(find(self._cluster, f"namespaces/{NAMESPACE}/gateways/{GATEWAY}")),
            needs=[NAME],
            timeout=60,
        )
        return f"http://{address}"

    def down(self) -> None:
        """Stop Traefik and remove the class and the Gateway; routes and their kinds stay."""
        self._server.stop()
        if not Api(self._cluster).ready():
            return
        self._kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
        if find(self._cluster, f"gatewayclasses/{CLASS}"):
            self._kubectl("delete", "gatewayclass", CLASS, "--ignore-not-found")

    def stop(self) -> None:
        """Stop Traefik; the objects stay, for a cluster that comes up again."""
        self._server.stop()

    def _kubectl(self, *arguments: str) -> str:
        return addons.kubectl(self._cluster, *arguments)

    def _start(self, port: int) -> str:
        address = self._server.place(port)
        # What an earlier Traefik wrote into its status must not pass for this one's word.
        self._kubectl("delete", "gateways", "-n", NAMESPACE, GATEWAY, "--ignore-not-found")
        config = write_json(self._server.folder / "traefik.yaml", configuration(address))
        step(f"starting Traefik at {address}")
        self._server.start(
            address,
            (str(binaries.binary(NAME)), f"--configfile={config}"),
            env={"KUBECONFIG": str(self._cluster.layout.kubeconfig)},
            ready=lambda: answers(address),
        )
        return address
