"""etcd, the API server, the controller-manager and the scheduler."""

from __future__ import annotations

from pathlib import Path

from devcluster.host import binaries, certs
from devcluster.host.api import Api
from devcluster.host.processes import Spec
from devcluster.host.state import POD_CIDR, SERVICE_CIDR, Cluster, write_json
from devcluster.report import step

ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def names(cluster: Cluster) -> tuple[str, ...]:
    """Programs of the control plane; without a node there is nothing to schedule."""
    return ORDER if cluster.has_node else ORDER[:-1]


def _kubernetes(component: str, *flags: str) -> Spec:
    return Spec(component, (str(binaries.binary("kubernetes")), component, *flags))


def etcd(cluster: Cluster) -> Spec:
    client = f"http://127.0.0.1:{cluster.settings.ports['etcd']}"
    peer = f"http://127.0.0.1:{cluster.settings.ports['etcd-peer']}"
    return _kubernetes(
        "etcd",
        f"--data-dir={cluster.layout.etcd}",
        f"--name={cluster.layout.name}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={cluster.layout.name}={peer}",
        # A lost write after a power cut costs a development cluster nothing.
        "--unsafe-no-fsync",
        "--quota-backend-bytes=8589934592",
        "--logger=zap",
        "--log-level=warn",
    )


def audit_policy() -> dict[str, object]:
    """Who wrote what, and when it was done: nothing else, as reads would drown it."""
    verbs = ["create", "update", "patch", "delete", "deletecollection"]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
        "rules": [{"level": "Metadata", "verbs": verbs}, {"level": "None"}],
    }


def apiserver(cluster: Cluster) -> Spec:
    pki = cluster.layout.pki
    flags = [
        f"--etcd-servers=http://127.0.0.1:{cluster.settings.ports['etcd']}",
        f"--secure-port={cluster.settings.ports['apiserver']}",
        f"--advertise-address={cluster.settings.node_ip}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        *_aggregation_flags(pki),
        *_audit_flags(cluster),
    ]
    if cluster.has_node:
        flags += [
            f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kubelet-client.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
        ]
    else:
        # No pod will ever call it, and a loopback address cannot be an endpoint.
        flags += ["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"]
    return _kubernetes("kube-apiserver", *flags)


def _aggregation_flags(pki: Path) -> list[str]:
    """How an aggregated API (metrics-server) recognises the API server, and is found."""
    return [
        f"--requestheader-client-ca-file={pki / certs.FRONT_PROXY_AUTHORITY}.crt",
        f"--requestheader-allowed-names={certs.FRONT_PROXY_USER}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        # By its endpoints: a control plane alone has no kube-proxy behind a Service's address.
        "--enable-aggregator-routing=true",
    ]


def _audit_flags(cluster: Cluster) -> list[str]:
    if not cluster.settings.audit:
        return []
    policy = write_json(cluster.layout.config / "audit-policy.json", audit_policy())
    return [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={cluster.layout.audit_log}",
        # Never rotated within a test run: a reader counts lines from an offset.
        "--audit-log-maxsize=100000",
    ]


def controller_manager(cluster: Cluster) -> Spec:
    pki = cluster.layout.pki
    flags = [
        f"--kubeconfig={pki / 'controller-manager.kubeconfig'}",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={cluster.settings.ports['controller-manager']}",
        # A claim that waits for a volume finds a new one within this time.
        "--pvclaimbinder-sync-period=2s",
        # An autoscaler acts within seconds of a load, not of minutes, also on a pod that
        # started a moment ago.
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        "--kube-api-qps=100",
        "--kube-api-burst=200",
        "--profiling=false",
    ]
    if cluster.has_node:
        flags += [f"--cluster-cidr={POD_CIDR}", "--allocate-node-cidrs=true"]
    return _kubernetes("kube-controller-manager", *flags)


def scheduler(cluster: Cluster) -> Spec:
    return _kubernetes(
        "kube-scheduler",
        f"--kubeconfig={cluster.layout.pki / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={cluster.settings.ports['scheduler']}",
        "--profiling=false",
    )


def _specs(cluster: Cluster) -> list[Spec]:
    specs = [etcd(cluster), apiserver(cluster), controller_manager(cluster)]
    return [*specs, scheduler(cluster)] if cluster.has_node else specs


def outdated(cluster: Cluster) -> list[str]:
    """Programs that run with other flags than they would be started with now."""
    return [
        spec.name
        for spec in _specs(cluster)
        if cluster.processes.alive(spec.name)
        and cluster.processes.argv(spec.name) != list(spec.argv)
    ]


def start(cluster: Cluster) -> bool:
    """Bring up what does not run and wait until it answers and its controllers work.

    True when the API server was started now.
    """
    processes, api = cluster.processes, Api(cluster)
    step("starting etcd and the API server")
    if changed := outdated(cluster):
        step(f"restarting with other flags: {', '.join(changed)}")
        processes.stop(changed)
    processes.ensure(etcd(cluster))
    started = processes.ensure(apiserver(cluster))
    needs = ["etcd", "kube-apiserver"]
    processes.wait("the API server is not ready", api.ready, needs=needs, timeout=90)
    processes.ensure(controller_manager(cluster))
    if cluster.has_node:
        processes.ensure(scheduler(cluster))
    needs = list(names(cluster))
    processes.wait("controllers do not work", api.controllers_work, needs=needs, timeout=60)
    return started


def stop(cluster: Cluster) -> None:
    """Clients before servers, so that none of them spends its last second retrying."""
    cluster.processes.stop(["kube-scheduler", "kube-controller-manager"], grace=2)
    cluster.processes.stop(["kube-apiserver"], grace=3)
    cluster.processes.stop(["etcd"], grace=3)
