"""What runs in the cluster itself: its DNS."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

from devcluster.host import binaries, images
from devcluster.host.state import DNS_SERVICE_IP, Cluster
from devcluster.report import DevclusterError, step

_LABELS = {"k8s-app": "kube-dns"}
_META = {"name": "coredns", "namespace": "kube-system"}
# Above 1023, so that it needs no capability.
_PORT = 1053
_PROBE = "kubernetes.default.svc.cluster.local"


def _forwards() -> str:
    """Names outside of the cluster go where the host's go, unless that is the host
    itself, which a pod does not reach under a loopback address."""
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return ""
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    usable = [server for server in servers if not server.startswith(("127.", "::1"))]
    return f"forward . {' '.join(usable)}" if usable else ""


def _corefile() -> str:
    return f""".:{_PORT} {{
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
    cache 5
    {_forwards()}
    reload
}}
"""


def _access() -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    reads = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": reads},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": reads},
    ]
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "lockstep-devcluster:coredns"}
    name = {"name": role["name"]}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": name,
        "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", **_META}],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _META},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": name,
            "rules": rules,
        },
        binding,
    ]


def _container(corefile_hash: str) -> dict[str, Any]:
    return {
        "name": "coredns",
        "image": images.coredns_image(),
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "env": [{"name": "COREFILE", "value": corefile_hash}],
        "ports": [{"containerPort": _PORT, "protocol": "UDP"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "30Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    }


def _deployment() -> dict[str, Any]:
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(str(len(_corefile())))],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _META,
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }


def manifests() -> list[dict[str, Any]]:
    """Every object of the cluster's DNS."""
    ports = [
        {"name": protocol.lower(), "port": 53, "targetPort": _PORT, "protocol": protocol}
        for protocol in ("UDP", "TCP")
    ]
    return [
        *_access(),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _META,
            "data": {"Corefile": _corefile()},
        },
        _deployment(),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"selector": _LABELS, "clusterIP": DNS_SERVICE_IP, "ports": ports},
        },
    ]


def kubectl(cluster: Cluster, *arguments: str, stdin: str = "") -> str:
    """Run kubectl as the administrator; its standard output."""
    command = [str(binaries.kubectl()), f"--kubeconfig={cluster.layout.kubeconfig}", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise DevclusterError(f"kubectl {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager=devcluster")


def apply_objects(cluster: Cluster, objects: list[dict[str, Any]]) -> None:
    """Make these objects what the cluster has, whoever wrote their fields before."""
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    kubectl(cluster, *APPLY, "-f", "-", stdin=json.dumps(listed))


def _dns_answers() -> bool:
    """Ask for the API server's name through the service, as a pod would."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in _PROBE.split("."))
    query = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        try:
            client.sendto(query, (DNS_SERVICE_IP, 53))
            answer = client.recv(512)
        except OSError:
            return False
    return len(answer) > 12 and struct.unpack(">H", answer[6:8])[0] > 0


def apply(cluster: Cluster) -> None:
    """Apply the cluster's DNS and wait until it answers."""
    apply_objects(cluster, manifests())
    step("waiting for the cluster's DNS")
    answers = 0

    def steady() -> bool:
        # Ten in a row, as rules of the time before may answer once and then be replaced.
        nonlocal answers
        answers = answers + 1 if _dns_answers() else 0
        return answers >= 10

    # Not the Deployment's status: after a crash that still tells of the time before.
    needs = ["kube-proxy", "kubelet"]
    cluster.processes.wait("DNS does not answer", steady, needs=needs, timeout=120)
