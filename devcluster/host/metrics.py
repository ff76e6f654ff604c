"""metrics-server as a process of the host: what `kubectl top` shows and an HPA reads."""

from __future__ import annotations

import base64
from typing import Any

from devcluster.host import addons, binaries
from devcluster.host.api import Api
from devcluster.host.host_process import HostProcess, answers
from devcluster.host.state import Cluster
from devcluster.report import step

NAME = "metrics-server"
DEFAULT_PORT = 9895
# The shortest that it accepts.
RESOLUTION = "10s"
NAMESPACE = "kube-system"
_API_SERVICE = "v1beta1.metrics.k8s.io"


def manifests(address: str, authority: str) -> list[dict[str, Any]]:
    """How the API server finds it: an APIService whose Service has one endpoint, `IP:PORT`.

    `authority` is the certificate (PEM, base64) that signed its serving certificate.
    """
    host, _, port = address.rpartition(":")
    meta = {"name": NAME, "namespace": NAMESPACE}
    group, _, version = "metrics.k8s.io/v1beta1".partition("/")
    listen = {"name": "https", "port": int(port), "protocol": "TCP"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": int(port)}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": [listen],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": _API_SERVICE},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": authority,
                "service": {**meta, "port": 443},
            },
        },
    ]


class MetricsServer:
    """The metrics-server of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._server = HostProcess(cluster.layout, NAME)

    def endpoint(self) -> str | None:
        """URL that the API server calls, None when it does not run."""
        address = self._server.address()
        return address and f"https://{address}"

    def up(self, *, port: int) -> str:
        """Start it unless it runs, and wait until the API server serves its kinds; its URL."""
        self._cluster.check_runs()
        self._server.make()
        address = self._server.runs_already() or self._start(port)
        authority = (self._cluster.layout.pki / "ca.crt").read_bytes()
        listed = manifests(address, base64.b64encode(authority).decode())
        addons.apply_objects(self._cluster, listed)
        step("waiting until the API server serves metrics")
        self._server.processes.wait(
            "metrics are not served", self._serves, needs=[NAME], timeout=60
        )
        return f"https://{address}"

    def down(self) -> None:
        """Stop it and take its kinds away."""
        self._server.stop()
        if Api(self._cluster).ready():
            self.forget()
            names = ["service", NAME, "-n", NAMESPACE, "--ignore-not-found"]
            addons.kubectl(self._cluster, "delete", *names)

    def stop(self) -> None:
        """Stop it; the objects stay, until `forget`."""
        self._server.stop()

    def forget(self) -> None:
        """Take its kinds away when it does not run: as long as the API server looks for them
        in vain, no namespace can be deleted."""
        path = f"/apis/apiregistration.k8s.io/v1/apiservices/{_API_SERVICE}"
        if self.endpoint() is None and Api(self._cluster).get(path) is not None:
            addons.kubectl(self._cluster, "delete", "apiservice", _API_SERVICE)

    def _serves(self) -> bool:
        api = Api(self._cluster)
        return bool(api.get("/apis/metrics.k8s.io/v1beta1")) and (
            not self._cluster.has_node
            or bool((api.get("/apis/metrics.k8s.io/v1beta1/nodes") or {}).get("items"))
        )

    def _start(self, port: int) -> str:
        address = self._server.place(port)
        host = address.rpartition(":")[0]
        pki, kubeconfig = self._cluster.layout.pki, self._cluster.layout.kubeconfig
        step(f"starting metrics-server at {address}")
        argv = (
            str(binaries.binary(NAME)),
            f"--bind-address={host}",
            f"--secure-port={port}",
            f"--tls-cert-file={pki / 'metrics-server.crt'}",
            f"--tls-private-key-file={pki / 'metrics-server.key'}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--metric-resolution={RESOLUTION}",
            "--kubelet-request-timeout=5s",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        )
        # Not /readyz: that waits for a kubelet, which a control plane alone has not.
        self._server.start(
            address, argv, env={}, ready=lambda: answers(address, "/livez", tls=True)
        )
        return address
