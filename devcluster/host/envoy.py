"""Envoy Gateway: a second implementation of the Gateway API, and one that copies requests.

Its controller is a process of this machine, and starts Envoy as another one.
"""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path
from typing import Any

from devcluster.host import addons, binaries, gateway, wheels
from devcluster.host.api import Api
from devcluster.host.host_process import HostProcess, answers
from devcluster.host.state import Cluster, port_is_free, write_json
from devcluster.report import DevclusterError, step

NAME = "envoy-gateway"
DEFAULT_PORT = 9881
CLASS = "envoy"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
NAMESPACE = "lockstep-envoy"
# Of the controller's own secrets.
SYSTEM = "envoy-gateway-system"
# Of the controller, built in: whether it is ready, its webhook, what Envoy is told.
HEALTH_PORT, *_OTHERS = (8081, 9443, 18000, 18002)
_KEYS = ("ca.crt", "tls.crt", "tls.key")


def manifests(port: int) -> list[dict[str, Any]]:
    """Its class and Gateway, whose listener takes routes of every namespace."""
    return gateway.manifests(port, name=CLASS, controller=CONTROLLER, namespace=NAMESPACE)


def configuration(folder: Path) -> dict[str, Any]:
    """The controller's settings: it reads the cluster, and starts Envoy on this machine."""
    homes = {"configHome": "home", "dataHome": "data", "stateHome": "state", "runtimeDir": "run"}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": CONTROLLER},
        "provider": {
            "type": "Custom",
            "custom": {
                "resource": {
                    "type": "Kubernetes",
                    "kubernetes": {"leaderElection": {"disable": True}},
                },
                "infrastructure": {
                    "type": "Host",
                    "host": {name: str(folder / place) for name, place in homes.items()},
                },
            },
        },
        "envoyProxy": {
            "provider": {"type": "Host", "host": {"envoyVersion": wheels.ENVOY.version}}
        },
        "telemetry": {"metrics": {"prometheus": {"disable": True}}},
    }


def taken_ports() -> list[int]:
    """Ports of its own that something holds already, most likely one of another cluster."""
    return [own for own in (HEALTH_PORT, *_OTHERS) if not port_is_free(own)]


class EnvoyGateway:
    """The Envoy Gateway of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._server = HostProcess(cluster.layout, NAME)

    def endpoint(self) -> str | None:
        """URL of its listener, None when it does not run."""
        address = self._server.address()
        return address and f"http://{address}"

    def up(self, *, port: int) -> str:
        """Install the kinds, start the controller unless it runs, wait until its Envoy answers;
        its URL."""
        self._cluster.check_runs()
        gateway.install(self._cluster, bundles=["envoy-gateway-crds"])
        self._server.make()
        address = self._server.runs_already() or self._start(port)
        gateway.apply(self._cluster, manifests(int(address.rpartition(":")[2])))
        step("waiting until Envoy answers")
        # Not `Programmed`: that wants a Service, which Envoy has only where it runs in a pod.
        try:
            self._server.processes.wait(
                "Envoy does not answer", lambda: answers(address), needs=[NAME], timeout=60
            )
        except DevclusterError:
            # A controller may live on when its parts ended: the next `up` starts another one.
            self._server.stop()
            raise
        return f"http://{address}"

    def down(self) -> None:
        """Stop it and remove the class and the Gateway; routes and kinds stay."""
        if Api(self._cluster).ready():
            # While the controller runs: a class that has Gateways ends when it lets go.
            ignore = ("--ignore-not-found", "--timeout=60s")
            addons.kubectl(self._cluster, "delete", "namespace", NAMESPACE, *ignore)
            if gateway.find(self._cluster, f"gatewayclasses/{CLASS}"):
                addons.kubectl(self._cluster, "delete", "gatewayclass", CLASS, *ignore)
        self._server.stop()

    def stop(self) -> None:
        """Stop it, and Envoy with it; the objects stay, for a cluster that comes up again."""
        self._server.stop()

    def _start(self, port: int) -> str:
        address, folder = self._server.place(port), self._server.folder
        if taken := taken_ports():
            raise DevclusterError(f"port {taken[0]} is in use: a machine holds one Envoy Gateway")
        program = binaries.binary(NAME)
        self._link_envoy()
        self._make_certificates(program)
        config = write_json(folder / "envoy-gateway.yaml", configuration(folder))
        step(f"starting Envoy Gateway, for {address}")
        # Certificates are read in the folder that it runs in.
        argv = ("/usr/bin/env", f"--chdir={folder}", str(program))
        self._server.start(
            address,
            (*argv, "server", f"--config-path={config}"),
            env=self._environment(),
            ready=lambda: answers(f"127.0.0.1:{HEALTH_PORT}", "/readyz"),
            patience=60,
        )
        return address

    def _environment(self) -> dict[str, str]:
        kubeconfig = str(self._cluster.layout.kubeconfig)
        return {"KUBECONFIG": kubeconfig, "ENVOY_GATEWAY_NAMESPACE": SYSTEM}

    def _link_envoy(self) -> None:
        """Put Envoy where the controller keeps the versions that it fetched."""
        version = wheels.ENVOY.version
        link = self._server.folder / "data" / "envoy-versions" / version / "bin" / "envoy"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(wheels.program(wheels.ENVOY))

    def _make_certificates(self, program: Path) -> None:
        """Of the controller and of Envoy, as files: its own command makes them as secrets."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
        addons.apply_objects(self._cluster, [namespace])
        done = subprocess.run(
            [program, "certgen", "--disable-topology-injector"],
            env={**os.environ, **self._environment()},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise DevclusterError(f"certificates: {(done.stdout + done.stderr).strip()[-1000:]}")
        for secret, place in (("envoy-gateway", "certs"), ("envoy", "home/certs/envoy")):
            stored = Api(self._cluster).get(f"/api/v1/namespaces/{SYSTEM}/secrets/{secret}")
            target = self._server.folder / place
            target.mkdir(parents=True, exist_ok=True, mode=0o700)
            for key in _KEYS:
                (target / key).write_bytes(base64.b64decode(stored["data"][key]))
