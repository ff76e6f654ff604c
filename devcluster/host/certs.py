"""The cluster's certificate authority, certificates and kubeconfigs, by openssl."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devcluster.host.state import API_SERVICE_IP, Cluster, write_json
from devcluster.report import DevclusterError

DAYS = "3650"
# Whoever shows its certificate may name any user to an aggregated API: it is of its own
# authority, so that no certificate of the cluster's can pass for it.
FRONT_PROXY_AUTHORITY = "front-proxy-ca"
FRONT_PROXY_USER = "front-proxy-client"


@dataclass(frozen=True)
class Leaf:
    """One certificate: its user (CN), group (O) and the names it answers to."""

    name: str
    user: str
    group: str = ""
    alt_names: tuple[str, ...] = ()
    authority: str = "ca"

    @property
    def request(self) -> str:
        """openssl's description of it, which also tells whether it has to be made again."""
        group = f"O={self.group}\n" if self.group else ""
        names = f"subjectAltName={','.join(self.alt_names)}\n" if self.alt_names else ""
        return (
            f"[req]\nprompt=no\ndistinguished_name=dn\n[dn]\n{group}CN={self.user}\n"
            "[leaf]\nbasicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n"
            "extendedKeyUsage=serverAuth,clientAuth\nauthorityKeyIdentifier=keyid\n"
            f"subjectKeyIdentifier=hash\n{names}"
        )


CA_REQUEST = (
    "[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nCN={name}\n"
    "[ca]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n"
    "subjectKeyIdentifier=hash\n"
)


def leaves(cluster: Cluster) -> list[Leaf]:
    """All certificates that a cluster of its mode uses."""
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names += ["kubernetes.default.svc.cluster.local", "localhost"]
    addresses = [API_SERVICE_IP, "127.0.0.1", cluster.settings.node_ip]
    alt_names = [f"DNS:{name}" for name in names]
    alt_names += [f"IP:{address}" for address in dict.fromkeys(addresses)]
    metrics = "metrics-server.kube-system.svc"
    chosen = [
        Leaf("front-proxy", FRONT_PROXY_USER, authority=FRONT_PROXY_AUTHORITY),
        Leaf("metrics-server", "metrics-server", alt_names=(f"DNS:{metrics}",)),
        Leaf("apiserver", "kube-apiserver", alt_names=tuple(alt_names)),
        Leaf("admin", "lockstep-admin", "system:masters"),
        Leaf("controller-manager", "system:kube-controller-manager"),
    ]
    if cluster.has_node:
        node = cluster.node_name
        kubelet_names = (f"DNS:{node}", f"IP:{cluster.settings.node_ip}")
        chosen += [
            Leaf("scheduler", "system:kube-scheduler"),
            Leaf("proxy", "system:kube-proxy"),
            Leaf("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
            Leaf("kubelet", f"system:node:{node}", "system:nodes", kubelet_names),
        ]
    return chosen


def ensure(cluster: Cluster) -> None:
    """Make what is missing or was made for other names or addresses."""
    pki = cluster.layout.pki
    if not (pki / "sa.pub").exists():
        _account_keys(pki)
    for name in ("ca", FRONT_PROXY_AUTHORITY):
        if not (pki / f"{name}.crt").exists():
            _authority(pki, name)
    for leaf in leaves(cluster):
        _leaf(pki, leaf)
    kubeconfigs = {
        "admin": cluster.layout.kubeconfig,
        "controller-manager": pki / "controller-manager.kubeconfig",
    }
    if cluster.has_node:
        kubeconfigs |= {
            name: pki / f"{name}.kubeconfig" for name in ("scheduler", "proxy", "kubelet")
        }
    for name, path in kubeconfigs.items():
        _kubeconfig(cluster, name, path)


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise DevclusterError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-500:]}")


def _new_key(path: Path) -> None:
    options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    _openssl("genpkey", *options, "-out", str(path))
    path.chmod(0o600)


def _account_keys(pki: Path) -> None:
    _new_key(pki / "sa.key")
    _openssl("pkey", "-in", str(pki / "sa.key"), "-pubout", "-out", str(pki / "sa.pub"))


def _authority(pki: Path, name: str) -> None:
    _new_key(pki / f"{name}.key")
    request = pki / f"{name}.request"
    request.write_text(CA_REQUEST.format(name=f"lockstep-devcluster-{name}"))
    options = ["-config", str(request), "-extensions", "ca", "-key", str(pki / f"{name}.key")]
    _openssl("req", "-x509", "-new", "-days", DAYS, *options, "-out", str(pki / f"{name}.crt"))


def _leaf(pki: Path, leaf: Leaf) -> None:
    request = pki / f"{leaf.name}.request"
    certificate = pki / f"{leaf.name}.crt"
    if certificate.exists() and request.exists() and request.read_text() == leaf.request:
        return
    certificate.unlink(missing_ok=True)
    request.write_text(leaf.request)
    _new_key(pki / f"{leaf.name}.key")
    options = ["-config", str(request), "-extensions", "leaf"]
    options += ["-key", str(pki / f"{leaf.name}.key")]
    authority = pki / leaf.authority
    options += ["-CA", f"{authority}.crt", "-CAkey", f"{authority}.key"]
    _openssl("req", "-x509", "-new", "-days", DAYS, *options, "-out", str(certificate))


def _kubeconfig(cluster: Cluster, user: str, path: Path) -> None:
    pki = cluster.layout.pki

    def embedded(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    server = {"server": cluster.server, "certificate-authority-data": embedded("ca.crt")}
    login = {
        "client-certificate-data": embedded(f"{user}.crt"),
        "client-key-data": embedded(f"{user}.key"),
    }
    name = cluster.layout.name
    wanted = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": user, "user": login}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    write_json(path, wanted)
